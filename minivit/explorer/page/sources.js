// Where a picture comes from: those of the package, a file (chosen, dropped or pasted), the camera, or a prediction.
import { clear, el } from "./dom.js";
import { decode, prepare, read_pixels } from "./preparation.js";

const TILE = 32, TILES = 10;                              // of the sheet of CIFAR-10's test pictures: a row a class
const CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const PHOTOS = ["bird/duck", "bird/hens", "bird/kingfisher", "bird/macaw", "bird/owl", "cat/kitten", "deer/moose", "dog/german_shepherd", "horse/horses"];

export function picture_sources(app) {
  const original = el("canvas", { role: "img", "aria-label": "The picture as it was given", class: "original" });
  const file = el("input", { type: "file", accept: "image/*", id: "file", class: "unseen", onchange: () => { open_file(file.files[0]); file.value = ""; } });
  const buttons = el("div", { class: "row" },
    el("label", { for: "file", class: "button" }, "Open a photo"), file,
    el("button", { id: "use-camera", onclick: camera }, "Camera"),
    el("span", { class: "note" }, "or drop or paste one here"));
  const sample = ["cat-photo", ...CLASSES.map((name) => `${name}-0`)];
  const shelf = el("div", { class: "shelf", role: "group", "aria-label": "Pictures that come with minivit" });
  const photos = further("Nine photos of animals", () => PHOTOS.map((path) => `${path.split("/")[1]}-photo`));
  const tests = further("All 100 test pictures", () => CLASSES.flatMap((label) => Array.from({ length: TILES }, (_, i) => `${label}-${i}`)));
  const node = el("section", { class: "card sources", "aria-label": "Choose a picture" }, buttons, shelf, photos, tests,
    el("figure", { class: "given" }, original, el("figcaption", { class: "note" },
      `As it was given; the network reads ${app.size.width} × ${app.size.height} pixels of it.`)));
  const asked = new Map();

  /** A shelf that is filled when it is first opened. */
  function further(title, names) {
    const shelf = el("div", { class: "shelf" }), details = el("details", {}, el("summary", {}, title), shelf);
    details.addEventListener("toggle", async () => {
      if (details.open && !shelf.children.length) {
        clear(shelf, await Promise.all(names().map(thumbnail)));
        mark(app.state.picture);
      }
    });
    return details;
  }

  /** A packaged picture file, decoded: fetched once, however many ask. */
  function packaged(name) {
    if (!asked.has(name)) asked.set(name, fetch(`pictures/${name}`).then((response) => response.blob()).then((blob) => decode(new File([blob], name))));
    return asked.get(name);
  }

  async function tile(name) {                             // "ship-2": the third ship
    const [label, index] = name.split("-"), row = CLASSES.indexOf(label);
    if (row < 0 || !(Number(index) < TILES)) return null;
    const sheet = await packaged("cifar10_test.png");
    const rgba = new Uint8ClampedArray(4 * TILE * TILE);
    for (let y = 0; y < TILE; y++) {
      const from = 4 * ((row * TILE + y) * sheet.width + Number(index) * TILE);
      rgba.set(sheet.rgba.subarray(from, from + 4 * TILE), 4 * y * TILE);
    }
    return { width: TILE, height: TILE, rgba };
  }

  /** A photo or a test picture by name; null for an unknown one. */
  async function picture(name) {
    const photo = PHOTOS.find((path) => `${path.split("/")[1]}-photo` === name);
    return name === "cat-photo" ? packaged("cat.jpg") : photo ? packaged(`photos/${photo}.jpg`) : tile(name);
  }

  async function thumbnail(name) {
    const image = await picture(name), canvas = el("canvas"), label = name === "cat-photo" ? "photo of a cat" : name.replace(/[-_]/g, " ");
    show(canvas, image, 128);
    return el("button", { class: "thumb", "data-picture": name, "aria-label": label, title: label, onclick: () => open(name) }, canvas);
  }

  function show(canvas, { width, height, rgba }, most) {
    const scale = Math.min(1, most / Math.max(width, height)), whole = new OffscreenCanvas(width, height);
    whole.getContext("2d").putImageData(new ImageData(rgba, width, height), 0, 0);
    Object.assign(canvas, { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) });
    canvas.getContext("2d").drawImage(whole, 0, 0, canvas.width, canvas.height);
  }

  function use(name, image) {
    const pixels = prepare(image, app.model);
    show(original, image, 320);
    mark(name);
    app.use_picture(name, pixels);
  }

  function mark(name) {
    for (const thumb of node.querySelectorAll("[data-picture]")) thumb.setAttribute("aria-pressed", thumb.dataset.picture === name);
  }

  /** A picture by name: duck-photo, ship-2, prediction (of minivit.explore); the cat for none or an unknown one. */
  async function open(name) {
    if (name === "prediction") {
      const response = await fetch("prediction.f32");
      if (response.ok) {
        const pixels = new Float32Array(await response.arrayBuffer());
        original.parentElement.hidden = true;
        mark(name);
        return app.use_picture(name, pixels);
      }
    }
    original.parentElement.hidden = false;
    const image = name && await picture(name);
    return image ? use(name, image) : use("cat-photo", await packaged("cat.jpg"));
  }

  async function open_file(one) {
    if (!one) return;
    try {
      use("own", await decode(one));
      original.parentElement.hidden = false;
    } catch (error) {
      app.fail(error.message);
    }
  }

  async function camera() {
    const dialog = document.getElementById("camera");
    let media;
    try {
      media = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      return app.fail(`the camera cannot be used: ${{ NotAllowedError: "the browser was not allowed to", NotFoundError: "none was found" }[error.name] ?? "it is in use, or this page came neither over https nor from this machine"}`);
    }
    const video = el("video", { autoplay: true, playsinline: true, muted: true });
    const stop = () => { media.getTracks().forEach((track) => track.stop()); dialog.close(); };
    video.srcObject = media;
    clear(dialog, video, el("div", { class: "row" },
      el("button", { class: "primary", id: "take", onclick: () => { if (video.videoWidth) { use("own", read_pixels(video)); stop(); } } }, "Take the picture"),
      el("button", { onclick: stop }, "Close")));
    dialog.onclose = () => media.getTracks().forEach((track) => track.stop());
    dialog.showModal();
  }

  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    open_file(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => {
    const one = [...event.clipboardData.files][0];
    if (one) open_file(one);
    else if (!/^(input|textarea)$/i.test(event.target.tagName)) app.fail("what was pasted is no picture: copy one first");
  });
  Promise.all(sample.map(thumbnail)).then((thumbs) => { clear(shelf, thumbs); mark(app.state.picture); });
  return { node, open };
}
