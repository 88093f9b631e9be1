// The page: sends what is dropped to this server and shows what it answers.

import { Stage } from "./canvas.js";
import { ask, failed, request, startForms, upload } from "./files.js";

const byId = (id) => document.getElementById(id);
const ours = new Stage(byId("ours")), theirs = new Stage(byId("theirs"));
const status = byId("status"), tip = byId("tip");
let skeleton = null;  // of the model
let current = null;  // what is shown: {name, width, height, people}
let other = null;  // the other estimator's file: {key, skeleton, images}
let running = 0;  // counts what was started, so that a late answer of an earlier one is ignored

const say = (text, isError = false) => {
  status.textContent = text;
  status.classList.toggle("error", isError);
};
const number = (value, digits = 2) => (value === null ? "–" : value.toFixed(digits));

function counted(people) {
  const seen = people.filter((person) => person.is_seen).length;
  return seen === 1 ? "1 person" : `${seen} people`;
}

async function start() {
  const model = await ask("/api/model");
  skeleton = model.skeleton;
  byId("model").textContent = `${model.name}, ${skeleton.keypoints.length} joints (${skeleton.name}); ${model.licence}`;
}

function setBase(stage, figure, element) {
  for (const one of figure.querySelectorAll("img, video")) one.classList.toggle("hidden", one !== element);
  figure.querySelector("figcaption").classList.remove("hidden");
  stage.base = element;
  tip.classList.add("hidden");  // it was about the picture before
}

async function showPhoto(file) {
  const turn = ++running;
  stopWebcam();
  say("looking at the photo …");
  const found = await ask("/api/photo", { method: "POST", body: file });
  if (turn !== running) return;
  const image = byId("ours").querySelector("img");
  await setImage(image, file);
  setBase(ours, byId("ours"), image);
  current = { name: file.name || "photo", ...found };
  ours.show(image, found.width, found.height, found.people, skeleton);
  say(`${counted(found.people)} in ${found.seconds.toFixed(2)} s`);
  byId("reading").textContent = found.reading;
  byId("save").classList.remove("hidden");
  if (other !== null) await showOther(imageOf(file.name));  // which may add to what was said
}

function setImage(image, file) {
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
  return image.decode().catch(() => { throw new Error("this browser cannot show that picture; the server could read it"); });
}

async function showVideo(file) {
  const turn = ++running;
  stopWebcam();
  const video = byId("ours").querySelector("video"), frames = [];
  if (video.src.startsWith("blob:")) URL.revokeObjectURL(video.src);
  video.srcObject = null;
  video.src = URL.createObjectURL(file);
  video.controls = true;
  setBase(ours, byId("ours"), video);
  for (const id of ["theirs", "unknown"]) byId(id).classList.add("hidden");  // they are about another photo
  byId("reading").textContent = "";
  video.onerror = () => { if (turn === running) byId("reading").textContent = "This browser cannot play that video; the joints are drawn alone."; };
  say("sending the video …");
  const response = await request("/api/video", { method: "POST", body: file });
  if (!response.ok) throw new Error((await response.json()).error);
  let info = null;
  const redraw = () => {
    if (turn !== running) return;
    if (info !== null) {
      const at = Math.min(Math.round(video.currentTime * info.frame_rate), Math.max(frames.length - 1, 0));
      ours.show(video, info.width, info.height, frames[at] || [], skeleton);
    }
    requestAnimationFrame(redraw);
  };
  requestAnimationFrame(redraw);
  for await (const value of lines(response.body)) {
    if (turn !== running) return;
    if (value.error) throw new Error(value.error);
    if (info === null) info = value;
    else frames.push(value.people);
    say(`${frames.length}${info.frames === null ? "" : ` of ${info.frames}`} frames`);
  }
  say(`${frames.length} frames; play the video to see them`);
  current = { name: file.name, ...info, frames };
  byId("save").classList.remove("hidden");
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

let camera = null;

function stopWebcam() {
  if (camera === null) return;
  camera.getTracks().forEach((track) => track.stop());
  camera = null;
  byId("webcam").textContent = "use the webcam";
}

async function toggleWebcam() {
  if (camera !== null) {
    running += 1;
    stopWebcam();
    return say("");
  }
  if (!navigator.mediaDevices) throw new Error("this browser gives a page no camera, unless it is served from localhost or by HTTPS");
  const turn = ++running;
  camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640 } });
  byId("webcam").textContent = "stop the webcam";
  const video = byId("ours").querySelector("video"), shot = document.createElement("canvas");
  video.srcObject = camera;
  video.controls = false;
  await video.play();
  setBase(ours, byId("ours"), video);
  while (turn === running && camera !== null) {
    [shot.width, shot.height] = [video.videoWidth, video.videoHeight];
    shot.getContext("2d").drawImage(video, 0, 0);
    const blob = await new Promise((done) => shot.toBlob(done, "image/jpeg", 0.85));
    const found = await ask("/api/photo", { method: "POST", body: blob });
    if (turn !== running) return;
    ours.show(video, found.width, found.height, found.people, skeleton);
    byId("reading").textContent = found.reading;
    say(`${counted(found.people)}, ${(1 / found.seconds).toFixed(0)} photos/s`);
  }
}

async function openResults(file) {
  say("reading the results file …");
  other = await upload("results", file);
  if (other.skeleton === null && other.keypoints === skeleton.keypoints.length) other.skeleton = skeleton;
  const options = Object.entries(other.images).map(([id, count]) => new Option(`${id} (${count})`, id));
  byId("image").replaceChildren(new Option("choose", ""), ...options);
  const isPhoto = current !== null && current.people !== undefined;
  say(`${other.poses} poses on ${options.length} photos${isPhoto ? "" : "; drop one of these photos to see both"}`);
  if (isPhoto) await showOther(imageOf(current.name));
}

// The id in a photo's name, as the command line reads it, if the file has it; else "".
function imageOf(name) {
  const digits = (name || "").replace(/\.[^.]*$/, "").match(/\d+$/);
  const id = digits === null ? null : String(BigInt(digits[0]));
  return id !== null && id in other.images ? id : "";
}

async function showOther(id) {
  if (current === null || current.people === undefined) return;
  byId("image").value = id;
  byId("theirs").classList.remove("hidden");
  if (id === "") say(`${status.textContent}; the results file has no photo with the number of ${current.name}; choose one below the picture`);
  const { people } = id === "" ? { people: [] } : await ask(`/api/results/${other.key}/${encodeURIComponent(id)}`);
  const image = byId("theirs").querySelector("img"), photo = byId("ours").querySelector("img");
  image.src = photo.src;
  await image.decode();
  setBase(theirs, byId("theirs"), image);
  theirs.show(image, current.width, current.height, people, other.skeleton || { keypoints: [], limbs: [] });
  byId("unknown").classList.toggle("hidden", !people.some((person) => person.joints.some((joint) => joint.quality === null)));
}

function open(file) {
  if (!file) return;
  const isVideo = file.type.startsWith("video/") || /\.(mp4|m4v|mov|avi|mkv|webm)$/i.test(file.name);
  const isResults = /\.(json|parquet|csv)$/i.test(file.name);
  attempt(() => (isResults ? openResults(file) : isVideo ? showVideo(file) : showPhoto(file)), file.name);
}

async function attempt(work, name = "the upload") {
  try {
    await work();
  } catch (error) {
    stopWebcam();
    say(failed(error).replace("the upload", () => name), true);
  }
}

function hover(stage, event) {
  const found = stage.jointAt(event.clientX, event.clientY);
  tip.classList.toggle("hidden", found === null);
  if (found === null) return;
  const { joint, index, person } = found;
  const name = (stage.skeleton.keypoints[index] || `joint ${index}`).replaceAll("_", " ");
  const rows = [person.number === null || stage.people.length < 2 ? name : `${name} of person ${person.number}`];
  if (joint.quality !== null) rows.push(`expected OPKS ${number(joint.quality)}` + (joint.error === null ? "" : `, error ${number(joint.error, 1)} px`));
  if (joint.visibility !== null) {
    const [absent, occluded, visible] = joint.visibility.map((one) => `${Math.round(100 * one)} %`);
    rows.push(`visible ${visible}, occluded ${occluded}`, `not visible ${absent}`);
  }
  rows.push(`raw score ${number(joint.score)}`);
  if (person.presence !== null) rows.push(`presence ${number(person.presence)}`);
  if (person.expected_oks !== null) rows.push(`the pose: expected OKS ${number(person.expected_oks)}`);
  tip.textContent = rows.join("\n");
  const { width, height } = tip.getBoundingClientRect();
  const isLow = event.clientY + 14 + height > window.innerHeight;
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, window.innerWidth - width - 4))}px`;
  tip.style.top = `${isLow ? event.clientY - 14 - height : event.clientY + 14}px`;
}

for (const [id, stage] of [["ours", ours], ["theirs", theirs]]) {
  for (const type of ["pointermove", "pointerdown"]) byId(id).addEventListener(type, (event) => hover(stage, event));
  byId(id).addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") tip.classList.add("hidden");  // a finger leaves as soon as it has tapped
  });
}
const redrawBoth = () => {
  byId("least-value").textContent = Number(byId("least").value).toFixed(2);
  const options = { least: Number(byId("least").value), ellipses: byId("ellipses").checked, absent: byId("absent").checked };
  for (const stage of [ours, theirs]) {
    stage.options = options;
    stage.draw();
  }
};
for (const id of ["least", "ellipses", "absent"]) byId(id).addEventListener("input", redrawBoth);
byId("file").addEventListener("change", (event) => open(event.target.files[0]));
byId("webcam").addEventListener("click", () => attempt(toggleWebcam));
byId("image").addEventListener("change", (event) => attempt(() => showOther(event.target.value)));
byId("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify({ skeleton, ...current }, null, 1)], { type: "application/json" }));
  link.download = "poses.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
const drop = byId("drop");
for (const type of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", type === "dragover");
    if (type === "drop") open(event.dataTransfer.files[0]);
  });
}
startForms();
attempt(start);
