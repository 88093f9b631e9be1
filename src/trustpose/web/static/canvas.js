// Draws people on a canvas over a photo or video, and finds the joint under the pointer.

// The colours of trustpose's drawings: report/palettes.py.
const RAMP = [[0, [213, 94, 0]], [0.25, [240, 180, 40]], [0.5, [240, 228, 66]], [0.75, [86, 180, 233]], [1, [0, 114, 178]]];
const UNKNOWN = "rgb(190, 190, 190)";
const DARK = "rgb(20, 20, 20)", LIGHT = "#fff";  // edges: light on the person's left
const ABSENT = 0, OCCLUDED = 1;
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
  return options.absent || joint.decided !== ABSENT;
}

// The radius of a joint: a little more than the line, less where its neighbour is close, as in a face.
function radius(joints, shown, index, width) {
  const [x, y] = joints[index].xy, usual = 1.4 * width;
  const away = joints.map(({ xy }, other) => (other === index || !shown[other] ? Infinity : Math.hypot(xy[0] - x, xy[1] - y)));
  return Math.min(Math.max(0.45 * Math.min(...away), 0.55 * usual), usual);
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
    this.people.forEach((person) => this.#number(context, person, scale));
  }

  #person(context, person, scale) {
    const shown = person.joints.map((joint) => shownJoint(joint, this.options));
    const at = (index) => person.joints[index].xy.map((one) => one * scale);
    const extent = person.box === null ? 200 : (person.box[3] - person.box[1]) * scale;
    const width = Math.min(Math.max(extent / 60, 1.5), 6);
    const radii = person.joints.map((_, index) => (shown[index] ? radius(person.joints, shown, index, width / scale) * scale : 0));
    context.lineCap = "round";
    this.skeleton.limbs.forEach(([a, b], limb) => {
      if (!shown[a] || !shown[b]) return;
      const both = [person.joints[a].quality, person.joints[b].quality];
      const colour = trustColour(both.includes(null) ? null : Math.min(...both));
      this.#stroke(context, [at(a), at(b)], this.#layers(colour, width, (this.skeleton.left_limbs || [])[limb]));
    });
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
      const isRing = joint.decided === OCCLUDED;
      for (const [style, wide] of this.#layers(colour, 0, (this.skeleton.left || [])[index])) {
        context.beginPath();
        context.arc(x, y, isRing ? radii[index] : radii[index] + wide / 2, 0, 2 * Math.PI);
        context.lineWidth = radii[index] * 0.65 + wide;
        context.strokeStyle = context.fillStyle = style;
        if (isRing) context.stroke();
        else context.fill();
      }
    });
  }

  // What is drawn over each other: [colour, width], the edge first.
  #layers(colour, width, isLeft) {
    return isLeft ? [[DARK, width + 4.5], [LIGHT, width + 3], [colour, width]] : [[DARK, width + 2], [colour, width]];
  }

  #stroke(context, [from, to], layers) {
    for (const [style, wide] of layers) {
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.lineWidth = wide;
      context.strokeStyle = style;
      context.stroke();
    }
  }

  #number(context, person, scale) {
    const shown = person.joints.filter((joint) => shownJoint(joint, this.options));
    const label = person.label;
    if (this.people.length < 2 || shown.length === 0 || label === "") return;
    const [x, y] = shown.map((joint) => joint.xy).reduce((one, other) => (one[1] < other[1] ? one : other)).map((one) => one * scale);
    context.font = "600 13px system-ui, sans-serif";
    context.lineWidth = 3;
    context.strokeStyle = "rgba(0, 0, 0, 0.7)";
    context.strokeText(label, x + 8, Math.max(y - 8, 12));
    context.fillStyle = "#fff";
    context.fillText(label, x + 8, Math.max(y - 8, 12));
  }

  // The nearest shown joint to a pointer's place in the window, or null.
  jointAt(clientX, clientY) {
    if (this.base === null) return null;
    const box = this.base.getBoundingClientRect(), scale = this.scale;
    let nearest = null, least = REACH;
    this.people.forEach((person) => person.joints.forEach((joint, index) => {
      if (!shownJoint(joint, this.options)) return;
      const distance = Math.hypot(joint.xy[0] * scale + box.left - clientX, joint.xy[1] * scale + box.top - clientY);
      if (distance < least) [nearest, least] = [{ person, joint, index }, distance];
    }));
    return nearest;
  }
}
