"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);

  // Cards: two layers one over the other, the upper one cut off at the slider.
  function showLayers(card) {
    const [left, right] = ["left", "right"].map((side) => one(`select[name=${side}]`, card).value);
    const range = one(".frame input", card);
    one(".frame", card).style.setProperty("--cut", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${range.value} % ${left}, ${100 - range.value} % ${right}`);
    one(".on-left", card).textContent = left;
    one(".on-right", card).textContent = right;
    for (const image of all(".frame img", card)) {
      const name = image.dataset.layer;
      image.classList.toggle("left", name === left);
      image.classList.toggle("right", name === right);
      image.hidden = name !== left && name !== right;
    }
  }

  function choose(card, side, layer) {
    const select = one(`select[name=${side}]`, card);
    if ([...select.options].some((option) => option.value === layer)) select.value = layer;
    showLayers(card);
  }

  // Gallery: filters, order, and one layer for all.
  function fits(card, wanted) {
    const { text, outcome, groups, confidence } = card.dataset;
    const value = Number(confidence);
    const sure = confidence === "" ? wanted.low <= 0 && wanted.high >= 1 : value >= wanted.low && value <= wanted.high;
    return sure && text.toLowerCase().includes(wanted.text) && wanted.outcomes.includes(outcome)
      && (!wanted.group || groups.split(" ").includes(wanted.group));
  }

  function bound(field, otherwise) {
    return field && !Number.isNaN(field.valueAsNumber) ? field.valueAsNumber : otherwise;
  }

  function filterCards(form, cards) {
    const fields = form.elements;
    const wanted = {
      text: fields.text.value.trim().toLowerCase(),
      group: fields.group.value,
      outcomes: all("input[name=outcome]", form).length ? all("input[name=outcome]:checked", form).map((box) => box.value) : [""],
      low: bound(fields.low, 0),
      high: bound(fields.high, 1),
    };
    for (const card of cards) card.hidden = !fits(card, wanted);
    const number = cards.filter((card) => !card.hidden).length;
    one(".count").textContent = `${number} of ${cards.length} labels shown`;
    one(".nothing").hidden = number > 0;
  }

  function orderCards(order, cards) {
    const number = (card) => (card.dataset[order] === "" ? Infinity : Number(card.dataset[order]));
    const compare = {
      name: (a, b) => a.dataset.name.localeCompare(b.dataset.name),
      confidence: (a, b) => number(a) - number(b),
      drift: (a, b) => Number(b.dataset.drift) - Number(a.dataset.drift),
    }[order];
    one(".cards").append(...cards.sort(compare));
  }

  function startGallery(form) {
    const cards = all(".card");
    for (const card of cards) {
      one(".frame input", card).addEventListener("input", () => showLayers(card));
      for (const select of all("select", card)) select.addEventListener("change", () => showLayers(card));
      showLayers(card);
    }
    const update = () => { filterCards(form, cards); orderCards(form.elements.order.value, cards); };
    form.addEventListener("input", (event) => {
      const { name, value } = event.target;
      if (name === "left" || name === "right") for (const card of cards) choose(card, name, value);
      else update();
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => {
      update();
      for (const card of cards) for (const side of ["left", "right"]) choose(card, side, form.elements[side].value);
    }));
    update();
  }

  // Point cloud: points in a box of height 2, drawn as squares into pixels, the nearest on top.
  const FRONT = { yaw: 0.45, pitch: 0.25, zoom: 1 };
  const DISTANCE = 4;

  function drawPoints(canvas, points, view) {
    const scale = Math.min(canvas.clientWidth, 1200) / canvas.clientWidth * Math.min(devicePixelRatio, 2);
    const width = canvas.width = Math.round(canvas.clientWidth * scale);
    const height = canvas.height = Math.round(canvas.clientHeight * scale);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const nearest = new Float32Array(width * height).fill(-Infinity);
    const size = Math.min(height / 2.9, width / (2.9 * points.aspect)) * view.zoom;
    const [cy, sy, cp, sp] = [Math.cos(view.yaw), Math.sin(view.yaw), Math.cos(view.pitch), Math.sin(view.pitch)];
    for (let i = 0; i < points.number; i++) {
      const [x, y, z] = [points.x[i], points.y[i], (points.near[i] - 0.5) * 2 * view.relief];
      const across = x * cy + z * sy;
      const away = z * cy - x * sy;
      const up = y * cp - away * sp;
      const depth = away * cp + y * sp;
      const enlarged = size * DISTANCE / (DISTANCE - depth);
      const side = Math.max(1, Math.ceil(points.step * enlarged * 1.6));
      const left = Math.round(width / 2 + across * enlarged - side / 2);
      const top = Math.round(height / 2 - up * enlarged - side / 2);
      for (let row = Math.max(top, 0); row < Math.min(top + side, height); row++) {
        for (let column = Math.max(left, 0); column < Math.min(left + side, width); column++) {
          const at = row * width + column;
          if (depth > nearest[at]) { nearest[at] = depth; pixels[at] = points.colour[i]; }
        }
      }
    }
    context.putImageData(image, 0, 0);
  }

  async function pixelsOf(uri, width, height) {
    const image = new Image();
    image.src = uri;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width ?? image.naturalWidth, height ?? image.naturalHeight];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  }

  // Between grid points nearness is interpolated, but not across a jump: that is the edge of a thing.
  const FINER = 3;
  const JUMP = 0.08;

  function nearnessBetween(near, width, height, x, y) {
    const [left, top] = [Math.max(Math.floor(x), 0), Math.max(Math.floor(y), 0)];
    const [right, bottom] = [Math.min(left + 1, width - 1), Math.min(top + 1, height - 1)];
    const corners = [near[top * width + left], near[top * width + right], near[bottom * width + left], near[bottom * width + right]];
    const [u, v] = [Math.max(x, 0) - left, Math.max(y, 0) - top];
    if (!(Math.max(...corners) - Math.min(...corners) < JUMP)) return corners[(v < 0.5 ? 0 : 2) + (u < 0.5 ? 0 : 1)];
    return (corners[0] * (1 - u) + corners[1] * u) * (1 - v) + (corners[2] * (1 - u) + corners[3] * u) * v;
  }

  async function readPoints(reliefUri, colourUri) {
    const { width, height, data } = await pixelsOf(reliefUri);
    const near = Float32Array.from({ length: width * height }, (_, i) => (data[4 * i + 2] ? NaN : (256 * data[4 * i] + data[4 * i + 1]) / 65535));
    const [columns, rows] = [width * FINER, height * FINER];
    const colours = new Uint32Array((await pixelsOf(colourUri, columns, rows)).data.buffer);
    const points = { x: [], y: [], near: [], colour: [], number: 0, step: 2 / rows, aspect: width / height };
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const nearness = nearnessBetween(near, width, height, (column + 0.5) / FINER - 0.5, (row + 0.5) / FINER - 0.5);
        if (Number.isNaN(nearness)) continue;
        points.x.push((column + 0.5 - columns / 2) * points.step);
        points.y.push((rows / 2 - row - 0.5) * points.step);
        points.near.push(nearness);
        points.colour.push(colours[row * columns + column]);
        points.number++;
      }
    }
    return points;
  }

  function startClouds(dialog) {
    const canvas = one("canvas", dialog);
    const [shape, colours, relief] = ["shape", "colours", "relief"].map((name) => one(`[name=${name}]`, dialog));
    let [card, button, points, swaying] = [null, null, null, false];
    const view = { ...FRONT };
    const draw = () => { if (points && dialog.open) drawPoints(canvas, points, { ...view, relief: relief.value / 100 }); };
    const load = async () => {
      const colour = one(`img[data-layer="${colours.value}"]`, card).src;
      points = await readPoints(JSON.parse(button.dataset.shapes)[shape.value], colour);
      draw();
    };
    const sway = (time) => {
      if (!swaying || !dialog.open) return;
      view.yaw = FRONT.yaw * Math.sin(time / 1600);
      draw();
      requestAnimationFrame(sway);
    };
    const turn = (yaw, pitch, zoom = 1) => {
      swaying = false;
      view.yaw = Math.max(-1.5, Math.min(1.5, view.yaw + yaw));
      view.pitch = Math.max(-1.5, Math.min(1.5, view.pitch + pitch));
      view.zoom = Math.max(0.4, Math.min(5, view.zoom * zoom));
      draw();
    };
    const reset = () => { swaying = false; Object.assign(view, FRONT); relief.value = relief.defaultValue; draw(); };
    const keys = {
      ArrowLeft: () => turn(-0.1, 0), ArrowRight: () => turn(0.1, 0), ArrowUp: () => turn(0, 0.1), ArrowDown: () => turn(0, -0.1),
      "+": () => turn(0, 0, 1.15), "=": () => turn(0, 0, 1.15), "-": () => turn(0, 0, 1 / 1.15), 0: reset,
    };
    const open = async (clicked) => {
      [button, card] = [clicked, clicked.closest(".card")];
      one("h2", dialog).textContent = `Point cloud of ${card.dataset.name}`;
      shape.replaceChildren(...Object.keys(JSON.parse(button.dataset.shapes)).map((name) => new Option(name)));
      shape.selectedIndex = shape.length - 1;
      colours.replaceChildren(...all(".frame img", card).map((image) => new Option(image.dataset.layer)));
      if (one('img[data-layer="photograph"]', card)) colours.value = "photograph";
      Object.assign(view, FRONT);
      dialog.showModal();
      canvas.focus();
      await load();
      swaying = !matchMedia("(prefers-reduced-motion: reduce)").matches;
      requestAnimationFrame(sway);
    };
    for (const found of all("button.cloud")) found.addEventListener("click", () => open(found));
    one(".close", dialog).addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    one(".reset", dialog).addEventListener("click", reset);
    relief.addEventListener("input", () => { swaying = false; draw(); });
    for (const field of [shape, colours]) field.addEventListener("change", load);
    canvas.addEventListener("keydown", (event) => { if (keys[event.key]) { event.preventDefault(); keys[event.key](); } });
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); turn(0, 0, Math.exp(-event.deltaY / 600)); }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => { if (event.buttons) turn(event.movementX / 150, event.movementY / 150); });
    addEventListener("resize", draw);
  }

  const form = one("form.controls");
  if (form) startGallery(form);
  const dialog = one("#cloud");
  if (dialog) startClouds(dialog);
})();
