// Requests to this server, and the forms for audits and calibration.

// Asks again where the server is busy, as long as it says to wait.
export async function request(path, options = {}) {
  for (let attempts = 1; ; attempts += 1) {
    const response = await fetch(path, options);
    if (response.status !== 503 || attempts === 30) return response;
    const seconds = Math.min(Number(response.headers.get("Retry-After")) || 2, 30);
    await new Promise((done) => setTimeout(done, 1000 * seconds));
  }
}

export async function ask(path, options = {}) {
  const response = await request(path, options);
  const value = await response.json();
  if (!response.ok) throw new Error(value.error || `the server answered ${response.status}`);
  return value;
}

export const upload = (kind, file) => ask(`/api/upload/${kind}`, { method: "POST", body: file });
const send = (path, value) => ask(path, { method: "POST", body: JSON.stringify(value) });

export function failed(error) {
  return error instanceof TypeError ? "the server does not answer; is trustpose serve still running?" : error.message;
}

let fitted = null;  // the key of the calibrator that was fitted last

// Runs `work` when a form is sent, and says below the form how it went.
function onSend(id, busy, work) {
  const form = document.getElementById(id), status = form.nextElementSibling;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    status.className = "";
    status.textContent = busy;
    try {
      status.replaceChildren(...[await work(new FormData(form))].flat());
    } catch (error) {
      status.className = "error";
      status.textContent = failed(error);
    } finally {
      button.disabled = false;
    }
  });
}

function link(text, href) {
  const element = document.createElement("a");
  element.textContent = text;
  element.href = href;
  element.target = "_blank";
  element.rel = "noopener";
  return element;
}

function table(rows) {
  const element = document.createElement("table");
  const add = (tag, cells) => {
    const line = element.insertRow();
    for (const cell of cells) line.appendChild(document.createElement(tag)).textContent = cell;
  };
  add("th", ["", "printed scores", "calibrated"]);
  for (const [label, ...values] of rows) add("td", [label, ...values.map((value) => (value === null ? "–" : value.toFixed(3)))]);
  return element;
}

export function startForms() {
  onSend("audit-form", "auditing; large files take a minute …", async (data) => {
    const truth = await upload("truth", data.get("truth")), keys = [];
    for (const file of data.getAll("results")) keys.push((await upload("results", file)).key);
    const { report } = await send("/api/audit", { truth: truth.key, results: keys });
    const names = data.getAll("results").map((file, place) => `${keys.length > 1 ? `results ${place + 1}: ` : ""}${file.name}`);
    return [link("open the report", `/api/report/${report}`), ` (${names.join(", ")})`];
  });
  onSend("fit-form", "fitting, with cross-validation; a minute or two …", async (data) => {
    const truth = await upload("truth", data.get("truth")), results = await upload("results", data.get("results"));
    const found = await send("/api/calibrate", { truth: truth.key, results: results.key });
    fitted = found.key;
    return [`Chosen: ${found.method}. Out-of-fold numbers:`, table(found.rows), link("download the calibrator", `/api/download/calibrator/${found.key}`)];
  });
  onSend("apply-form", "applying …", async (data) => {
    const file = data.get("calibrator");
    const key = file && file.size ? (await upload("calibrator", file)).key : fitted;
    if (key === null) throw new Error("fit a calibrator first, or choose one");
    const results = await upload("results", data.get("results"));
    const found = await send("/api/apply", { calibrator: key, results: results.key });
    return [...found.notes.map((note) => `Warning: ${note} `), link("download the calibrated results", `/api/download/calibrated/${found.key}`)];
  });
}
