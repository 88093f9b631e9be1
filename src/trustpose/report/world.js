"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const canvas = document.getElementById("view"), slider = document.getElementById("time");
  const label = document.getElementById("now"), play = document.getElementById("play"), by = document.getElementById("colour");
  const pen = canvas.getContext("2d");
  let turn = data.turn, tilt = 0.35, away = data.radius * 2.6, centre = data.centre.slice(), at = 0, running = null;
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const scale = [[213, 94, 0], [240, 180, 40], [240, 228, 66], [86, 180, 233], [0, 114, 178]];
  const trust = (q) => {
    if (q === null) return "rgb(150,150,150)";
    const place = Math.min(Math.max(q, 0), 1) * 4, low = Math.min(Math.floor(place), 3), part = place - low;
    return `rgb(${scale[low].map((one, i) => Math.round(one + part * (scale[low + 1][i] - one))).join(",")})`;
  };
  const people = ["#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#0072b2", "#b8a800"];

  // the eye circles around the centre; data.axes are the world's ground plane and its up, rows of a rotation
  function basis() {
    const [a, b, up] = data.axes, out = a.map((one, i) => Math.cos(turn) * one + Math.sin(turn) * b[i]);
    const back = out.map((one, i) => Math.cos(tilt) * one + Math.sin(tilt) * up[i]);
    const right = a.map((one, i) => -Math.sin(turn) * one + Math.cos(turn) * b[i]);
    const above = up.map((one, i) => Math.cos(tilt) * one - Math.sin(tilt) * out[i]);
    return [right, above, back];
  }
  function draw() {
    const box = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(box.width * ratio); canvas.height = Math.round(box.height * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, box.width, box.height);
    const [right, above, back] = basis(), focal = Math.min(box.width, box.height) * 1.1;
    const seen = (p) => {
      const d = [p[0] - centre[0], p[1] - centre[1], p[2] - centre[2]], depth = away - dot(d, back);
      return depth < 0.05 ? null : [box.width / 2 + focal * dot(d, right) / depth, box.height / 2 - focal * dot(d, above) / depth, depth];
    };
    const line = (p, q, colour, width) => {
      const a = seen(p), b = seen(q);
      if (!a || !b) return;
      pen.strokeStyle = colour; pen.lineWidth = width;
      pen.beginPath(); pen.moveTo(a[0], a[1]); pen.lineTo(b[0], b[1]); pen.stroke();
    };
    for (const [p, q] of data.ground) line(p, q, css("--grid"), 1);
    pen.font = "13px system-ui, sans-serif";
    for (const camera of data.cameras) {
      const [eye, ...corners] = camera.corners;
      corners.forEach((corner, i) => { line(eye, corner, css("--muted"), 1); line(corner, corners[(i + 1) % 4], css("--muted"), 1); });
      const place = seen(eye);
      if (place) { pen.fillStyle = css("--ink"); pen.fillText(camera.name, place[0] + 6, place[1] - 6); }
    }
    const frame = data.frames[at];
    if (!frame) return;
    for (const person of frame.people) {
      const own = people[(Math.max(person.id, 1) - 1) % people.length];
      const joint = (k) => by.value === "trust" ? trust(person.q ? person.q[k] : null) : own;
      data.edges.forEach(([a, b]) => {
        const p = person.xyz[a], q = person.xyz[b];
        if (p && q) line(p, q, by.value === "trust" ? css("--muted") : own, 3);
      });
      person.xyz.forEach((p, k) => {
        const place = p && seen(p);
        if (!place) return;
        pen.fillStyle = joint(k); pen.beginPath(); pen.arc(place[0], place[1], 4, 0, 2 * Math.PI); pen.fill();
      });
      const top = person.xyz.map((p) => p && seen(p)).filter(Boolean).sort((a, b) => a[1] - b[1])[0];
      if (top && person.id >= 0) { pen.fillStyle = css("--ink"); pen.fillText(String(person.id), top[0] + 8, top[1] - 8); }
    }
  }
  function show(index) {
    at = Math.min(Math.max(index, 0), data.frames.length - 1);
    slider.value = String(at);
    const frame = data.frames[at];
    label.textContent = frame ? `frame ${frame.frame}${frame.time === null ? "" : `, ${frame.time.toFixed(2)} s`}` : "";
    draw();
  }
  function stop() { if (running !== null) { clearInterval(running); running = null; } play.textContent = "Play"; }
  play.addEventListener("click", () => {
    if (running !== null) { stop(); return; }
    play.textContent = "Pause";
    running = setInterval(() => show((at + 1) % data.frames.length), 1000 / data.rate);
  });
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  by.addEventListener("change", draw);
  document.getElementById("home").addEventListener("click", () => {
    turn = data.turn; tilt = 0.35; away = data.radius * 2.6; centre = data.centre.slice(); draw();
  });
  const fingers = new Map();
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); fingers.set(event.pointerId, [event.clientX, event.clientY]); });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY], dx = now[0] - before[0], dy = now[1] - before[1];
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      away *= Math.hypot(before[0] - other[0], before[1] - other[1]) / Math.max(Math.hypot(now[0] - other[0], now[1] - other[1]), 1);
    } else if (event.shiftKey || event.buttons === 2) {
      const [right, above] = basis(), step = away / (canvas.getBoundingClientRect().height * 1.1);
      centre = centre.map((one, i) => one - step * dx * right[i] + step * dy * above[i]);
    } else {
      turn -= dx * 0.008; tilt = Math.min(Math.max(tilt + dy * 0.008, -1.5), 1.5);
    }
    fingers.set(event.pointerId, now);
    draw();
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); away *= Math.exp(event.deltaY * 0.001); draw(); }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const keys = { ArrowLeft: [-0.1, 0, 1], ArrowRight: [0.1, 0, 1], ArrowUp: [0, 0.1, 1], ArrowDown: [0, -0.1, 1], "+": [0, 0, 0.9], "-": [0, 0, 1.1] };
    const moved = keys[event.key];
    if (!moved) return;
    event.preventDefault();
    turn += moved[0]; tilt = Math.min(Math.max(tilt + moved[1], -1.5), 1.5); away *= moved[2]; draw();
  });
  window.addEventListener("resize", draw);
  show(0);
})();
