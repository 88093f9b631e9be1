// Draws people on a canvas over a photo or video, and finds the joint under the pointer.

const RAMP = [[0, [213, 94, 0]], [0.5, [240, 228, 66]], [1, [0, 114, 178]]];
const UNKNOWN = "rgb(150, 150, 150)";
const REACH = 14;  // CSS pixels around a joint

export function trustColour(value) {
  if (value === null) return UNKNOWN;
  const at = Math.min(Math.max(value, 0), 1);
  const upper = Math.max(1, RAMP.findIndex(([stop]) => at <= stop));
  const [low, from] = RAMP[upper - 1], [high, to] = RAMP[upper];
  const share = (at - low) / (high - low);
  return `rgb(${from.map((one, channel) => Math.round(one + share * (to[channel] - one))).join(", ")})`;
}

export function shownJoint(joint, options) {
  if (joint.xy === null) return false;
  if (joint.quality !== null && joint.quality < options.least) return false;
  return options.absent || joint.visibility === null || joint.visibility[0] < 0.5;
}

export class Stage {
  constructor(figure) {
    this.canvas = figure.querySelector("canvas");
    this.base = null;  // the image or video below
    this.people = [];
    this.skeleton = null;
    this.options = { least: 0, ellipses: true, absent: false };
    new ResizeObserver(() => this.draw()).observe(figure.querySelector(".stage"));
  }

  show(base, width, height, people, skeleton) {
    Object.assign(this, { base, width, height, people, skeleton });
    this.draw();
  }

  get scale() {
    const box = this.base.getBoundingClientRect();
    return Math.min(box.width / this.width, box.height / this.height);
  }

  draw() {
    if (this.base === null) return;
    const box = this.base.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(box.width * ratio);
    this.canvas.height = Math.round(box.height * ratio);
    this.canvas.style.width = `${box.width}px`;
    this.canvas.style.height = `${box.height}px`;
    const context = this.canvas.getContext("2d"), scale = this.scale;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, box.width, box.height);
    [...this.people].reverse().forEach((person) => this.#person(context, person, scale));
    this.people.forEach((person, place) => this.#number(context, person, place + 1, scale));
  }

  #person(context, person, scale) {
    const shown = person.joints.map((joint) => shownJoint(joint, this.options));
    const at = (index) => person.joints[index].xy.map((one) => one * scale);
    const extent = person.box === null ? 200 : (person.box[3] - person.box[1]) * scale;
    const width = Math.min(Math.max(extent / 60, 1.5), 6);
    context.lineCap = "round";
    for (const [a, b] of this.skeleton.limbs) {
      if (!shown[a] || !shown[b]) continue;
      const both = [person.joints[a].quality, person.joints[b].quality];
      this.#stroke(context, [at(a), at(b)], trustColour(both.includes(null) ? null : Math.min(...both)), width);
    }
    person.joints.forEach((joint, index) => {
      if (!shown[index]) return;
      const [x, y] = at(index), colour = trustColour(joint.quality);
      if (this.options.ellipses && joint.error !== null && joint.error * scale > width) {
        context.beginPath();
        context.arc(x, y, Math.min(joint.error * scale, 1e4), 0, 2 * Math.PI);
        context.globalAlpha = 0.25;
        context.fillStyle = colour;
        context.fill();
        context.globalAlpha = 1;
      }
      const isOccluded = joint.visibility !== null && joint.visibility[1] > joint.visibility[2] && joint.visibility[1] > joint.visibility[0];
      context.beginPath();
      context.arc(x, y, width * 1.4, 0, 2 * Math.PI);
      context.lineWidth = isOccluded ? width * 0.9 : 1;
      context.strokeStyle = isOccluded ? colour : "#fff";
      context.fillStyle = colour;
      if (!isOccluded) context.fill();
      context.stroke();
    });
  }

  #stroke(context, [from, to], colour, width) {
    for (const [style, wide] of [["rgba(0, 0, 0, 0.55)", width + 1.5], [colour, width]]) {
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.lineWidth = wide;
      context.strokeStyle = style;
      context.stroke();
    }
  }

  #number(context, person, number, scale) {
    const shown = person.joints.filter((joint) => shownJoint(joint, this.options));
    if (this.people.length < 2 || shown.length === 0) return;
    const [x, y] = shown.map((joint) => joint.xy).reduce((one, other) => (one[1] < other[1] ? one : other)).map((one) => one * scale);
    context.font = "600 13px system-ui, sans-serif";
    context.lineWidth = 3;
    context.strokeStyle = "rgba(0, 0, 0, 0.7)";
    context.strokeText(number, x + 8, Math.max(y - 8, 12));
    context.fillStyle = "#fff";
    context.fillText(number, x + 8, Math.max(y - 8, 12));
  }

  // The nearest shown joint to a pointer's place in the window, or null.
  jointAt(clientX, clientY) {
    if (this.base === null) return null;
    const box = this.base.getBoundingClientRect(), scale = this.scale;
    let nearest = null, least = REACH;
    this.people.forEach((person, place) => person.joints.forEach((joint, index) => {
      if (!shownJoint(joint, this.options)) return;
      const distance = Math.hypot(joint.xy[0] * scale + box.left - clientX, joint.xy[1] * scale + box.top - clientY);
      if (distance < least) [nearest, least] = [{ person, place: place + 1, joint, index }, distance];
    }));
    return nearest;
  }
}
