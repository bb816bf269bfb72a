// The photo with the hole drawn on it. The value is JSON: the page sends {photo, of, width, height, strokes}, this sends
// {of, strokes} back, in the photo's own pixels; hole_drawn.py makes the mask of it, so what is painted here is a sketch.
// `of` names the photo that the strokes belong to.
const canvas = element.querySelector("canvas");
const stage = element.querySelector(".stage");
const said = element.querySelector(".said");
const size = element.querySelector("input");
const pen = canvas.getContext("2d");
const TALLEST = 560;
let photo = null, of = "", width = 0, height = 0, strokes = [], tool = "box", current = null, start = null, pointer = null, begun = null;

function fit() {
  if (!photo) return;
  const room = Math.max(100, stage.clientWidth - 2);
  const scale = Math.min(room / width, TALLEST / height);
  const ratio = window.devicePixelRatio || 1;
  canvas.style.width = Math.max(1, Math.round(width * scale)) + "px";
  canvas.style.height = Math.max(1, Math.round(height * scale)) + "px";
  canvas.width = Math.max(1, Math.round(width * scale * ratio));
  canvas.height = Math.max(1, Math.round(height * scale * ratio));
  draw();
}

function trace(on, stroke) {
  if (stroke.tool === "box") return on.fillRect(...stroke.box);
  on.globalCompositeOperation = stroke.tool === "erase" ? "destination-out" : "source-over";
  on.lineWidth = 2 * stroke.radius;
  on.beginPath();
  on.moveTo(...stroke.points[0]);
  for (const point of stroke.points) on.lineTo(...point);
  on.stroke();
  on.globalCompositeOperation = "source-over";
}

function draw() {
  pen.imageSmoothingEnabled = canvas.width < 4 * photo.naturalWidth;
  pen.drawImage(photo, 0, 0, canvas.width, canvas.height);
  const sheet = document.createElement("canvas");
  sheet.width = canvas.width;
  sheet.height = canvas.height;
  const on = sheet.getContext("2d");
  on.fillStyle = on.strokeStyle = "#ff2fa0";
  on.lineCap = on.lineJoin = "round";
  on.scale(canvas.width / width, canvas.height / height);
  for (const stroke of current ? [...strokes, current] : strokes) trace(on, stroke);
  pen.globalAlpha = 0.55;
  pen.drawImage(sheet, 0, 0);
  pen.globalAlpha = 1;
  tell();
}

function tell() {
  const boxes = strokes.filter((stroke) => stroke.tool === "box");
  const painted = strokes.length - boxes.length;
  const words = [];
  if (boxes.length) {
    const [x, y, w, h] = boxes[boxes.length - 1].box;
    words.push((boxes.length > 1 ? boxes.length + " boxes, the last " : "Box ") + [x, y, w, h].join(",") + " (x, y, width, height)");
  }
  if (painted) words.push(painted + (painted > 1 ? " strokes" : " stroke"));
  said.textContent = words.length ? words.join("; ") + "." : photo ? "No hole yet: drag a box, or paint." : "No hole yet.";
  for (const button of element.querySelectorAll("[data-do]")) button.disabled = !strokes.length;
}

function changed() {
  draw();
  props.value = JSON.stringify({ of, strokes });
  trigger("change");
}

function place(event) {
  const frame = canvas.getBoundingClientRect();
  return [((event.clientX - frame.left) / frame.width) * width, ((event.clientY - frame.top) / frame.height) * height];
}

function clamp(value, most) {
  return Math.min(Math.max(value, 0), most);
}

function boxed(a, b) {
  const x = clamp(Math.round(Math.min(a[0], b[0])), width - 1), y = clamp(Math.round(Math.min(a[1], b[1])), height - 1);
  const right = clamp(Math.round(Math.max(a[0], b[0])), width), bottom = clamp(Math.round(Math.max(a[1], b[1])), height);
  return { tool: "box", box: [x, y, Math.max(1, right - x), Math.max(1, bottom - y)] };
}

canvas.addEventListener("pointerdown", (event) => {
  if (!photo || event.button || current) return; // a second finger draws nothing
  pointer = event.pointerId;
  begun = [event.clientX, event.clientY];
  canvas.setPointerCapture(event.pointerId);
  canvas.focus({ preventScroll: true });
  event.preventDefault();
  start = place(event);
  const radius = Math.max(0.5, (Math.max(width, height) * size.value) / 800);
  current = tool === "box" ? boxed(start, start) : { tool, radius, points: [start] };
  draw();
});
canvas.addEventListener("pointermove", (event) => {
  if (!current || event.pointerId !== pointer) return;
  if (tool === "box") current = boxed(start, place(event));
  else current.points.push(place(event).map((value) => Math.round(10 * value) / 10));
  draw();
});
canvas.addEventListener("pointerup", (event) => {
  if (!current || event.pointerId !== pointer) return;
  const dragged = Math.hypot(event.clientX - begun[0], event.clientY - begun[1]) >= 3;
  const drawn = tool !== "box" || dragged ? current : null; // a click is no box
  current = null;
  if (!drawn) return draw();
  strokes.push(drawn);
  changed();
});
canvas.addEventListener("pointercancel", (event) => {
  if (event.pointerId !== pointer) return;
  current = null;
  if (photo) draw();
});

canvas.addEventListener("keydown", (event) => {
  if (!photo) return;
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const last = strokes[strokes.length - 1];
  if (event.key === "z" && (event.ctrlKey || event.metaKey)) undo();
  else if (event.key === "Enter") {
    const side = Math.max(1, Math.min(32, Math.floor(width / 2), Math.floor(height / 2)));
    strokes.push({ tool: "box", box: [(width - side) >> 1, (height - side) >> 1, side, side] });
    changed();
  } else if (steps[event.key] && last && last.tool === "box") {
    const [dx, dy] = steps[event.key].map((step) => step * (event.shiftKey ? 10 : 1));
    let [x, y, w, h] = last.box;
    if (event.altKey) [w, h] = [clamp(w + dx, width - x) || 1, clamp(h + dy, height - y) || 1];
    else [x, y] = [clamp(x + dx, width - w), clamp(y + dy, height - h)];
    last.box = [x, y, w, h];
    changed();
  } else return;
  event.preventDefault();
});

function undo() {
  strokes.pop();
  changed();
}

for (const button of element.querySelectorAll("[data-tool]"))
  button.addEventListener("click", () => {
    tool = button.dataset.tool;
    for (const other of element.querySelectorAll("[data-tool]")) other.setAttribute("aria-pressed", other === button);
  });
element.querySelector("[data-do=undo]").addEventListener("click", undo);
element.querySelector("[data-do=clear]").addEventListener("click", () => {
  strokes = [];
  changed();
});

function take() {
  const given = JSON.parse(props.value || "{}");
  if (given.photo !== undefined) of = given.of || "";
  if (given.strokes && (given.of || "") === of) strokes = given.strokes;
  if (given.photo === undefined) return photo ? draw() : undefined;
  stage.classList.toggle("filled", Boolean(given.photo));
  if (!given.photo) {
    photo = null;
    return tell();
  }
  const image = new Image();
  image.onload = () => {
    [photo, width, height] = [image, given.width, given.height];
    fit();
  };
  image.src = given.photo;
}

watch("value", take);
new ResizeObserver(fit).observe(stage);
take();
