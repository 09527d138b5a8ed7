"use strict";
// Sorting, filters, figures and faces of one report. No library but Plotly, no outside address.
(async () => {
  // What is large is packed: gzip in base64.
  async function unpacked(id) {
    const signs = atob(document.getElementById(id).textContent);
    const bytes = new Uint8Array(signs.length);
    for (let place = 0; place < signs.length; place += 1) bytes[place] = signs.charCodeAt(place); // fast, as from() is not
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  const data = JSON.parse(await unpacked("data"));
  const filters = document.getElementById("filters");
  const AXIS_COLOURS = ["#eb322d", "#2dc846", "#3c78ff"];
  const PALE_COLOURS = ["#f8b4b2", "#b2ecbd", "#bdd2ff"];

  // --- tables -------------------------------------------------------------------------------
  // A cell is sorted by what it shows, if no other value is given; "-" is a missing one.
  function valueOf(row, place) {
    const { dataset, textContent } = row.cells[place];
    return dataset.value ?? (textContent === "-" ? undefined : textContent);
  }

  function compare(a, b) {
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    const numbers = [Number(a), Number(b)];
    return numbers.some(Number.isNaN) ? a.localeCompare(b) : numbers[0] - numbers[1];
  }

  function sortBy(head) {
    const table = head.closest("table");
    const place = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => {
      const [x, y] = [valueOf(a, place), valueOf(b, place)];
      const missing = (x === undefined) - (y === undefined);
      return missing || (down ? compare(y, x) : compare(x, y)); // what is missing stays last
    });
    table.tBodies[0].append(...rows);
    for (const other of head.parentElement.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  }

  function makeSortable(root) {
    for (const button of root.querySelectorAll("table.sortable thead button")) {
      button.addEventListener("click", () => sortBy(button.closest("th")));
    }
  }

  // --- filters ------------------------------------------------------------------------------
  const chosen = (name) =>
    new Set([...filters.querySelectorAll(`input[name=${name}]:checked`)].map((one) => one.value));

  function yawRange() {
    const [from, to] = ["from", "to"].map((name) => Number(filters.elements[name].value));
    return [Math.min(from, to), Math.max(from, to)];
  }

  // Chosen methods, the best first, with their looks. Of more than have a look of their own, the
  // best have one; another one takes the look of a method that is not chosen.
  function chosenMethods() {
    const { ranked, looks } = data.styles;
    const checked = chosen("method");
    const free = ranked.filter((spec) => looks[spec] && !checked.has(spec)).map((spec) => looks[spec]);
    return ranked
      .filter((spec) => checked.has(spec))
      .map((spec) => ({ spec, label: data.labels[spec], look: looks[spec] || free.shift() }));
  }

  function paintSwatches(methods) {
    const looks = new Map(methods.map((one) => [one.spec, one.look]));
    for (const box of filters.querySelectorAll("input[name=method]")) {
      const { colour } = looks.get(box.value) || data.styles.looks[box.value] || data.styles.further;
      box.nextElementSibling.style.background = colour;
    }
  }

  function showCounts() {
    for (const summary of filters.querySelectorAll("[data-count]")) {
      const boxes = [...filters.querySelectorAll(`input[name=${summary.dataset.count}]`)];
      const words = { method: "methods", dataset: "data sets" }[summary.dataset.count];
      summary.textContent = `${boxes.filter((box) => box.checked).length} of ${boxes.length} ${words}`;
    }
  }

  // Rows and galleries by method; looked up once, for there may be many thousands.
  const ofMethod = new Map();
  for (const one of document.querySelectorAll("[data-m]")) {
    const method = data.methods[one.dataset.m];
    if (!ofMethod.has(method)) ofMethod.set(method, []);
    ofMethod.get(method).push(one);
  }
  let shownBefore = new Set(ofMethod.keys());

  function showRows(methods) {
    for (const [method, rows] of ofMethod) {
      if (methods.has(method) === shownBefore.has(method)) continue;
      for (const row of rows) row.hidden = !methods.has(method);
    }
    shownBefore = methods;
  }

  function search(input) {
    const words = input.value.toLowerCase();
    for (const row of input.closest(".table").querySelectorAll("tbody tr")) {
      row.classList.toggle("other", !row.textContent.toLowerCase().includes(words));
    }
  }

  // --- error over a chosen range of yaw -----------------------------------------------------
  function rangeRow(sums, from, to) {
    const total = sums.columns.map(() => [0, 0]);
    sums.starts.forEach((start, bin) => {
      if (start < from || start + sums.step > to) return;
      sums.columns.forEach((column, place) => {
        total[place][0] += column.sum[bin];
        total[place][1] += column.count[bin];
      });
    });
    return total;
  }

  function showRange(key, methods) {
    const place = document.querySelector(`[data-range="${key}"]`);
    const [from, to] = yawRange();
    place.replaceChildren();
    if (from === 0 && to >= 180) return;
    const { by_yaw } = data.sections[key];
    const { step } = Object.values(by_yaw)[0];
    const table = document.createElement("table");
    table.className = "sortable w1";
    const titles = ["Method", ...data.angles, "Faces"];
    const head = table.createTHead().insertRow();
    for (const title of titles) {
      const cell = document.createElement("th");
      cell.setAttribute("aria-sort", "none");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = title;
      cell.append(button);
      head.append(cell);
    }
    const body = table.createTBody();
    for (const [method, sums] of Object.entries(by_yaw)) {
      if (!methods.has(method)) continue;
      const total = rangeRow(sums, from, to);
      const row = body.insertRow();
      const cells = [
        data.labels[method],
        ...total.map(([sum, count]) => (count ? (sum / count).toFixed(2) : undefined)),
        Math.max(...total.map(([, count]) => count)),
      ];
      for (const value of cells) {
        const cell = row.insertCell();
        cell.textContent = value === undefined ? "-" : value;
        if (value !== undefined) cell.dataset.value = value;
      }
    }
    const low = Math.ceil(from / step) * step; // sums are of whole steps
    const high = Math.floor(to / step) * step;
    table.createCaption().textContent =
      low < high
        ? `Mean absolute error on faces with ground-truth |yaw| from ${low} to ${high} degrees`
        : `No whole step of ${step} degrees of |yaw| lies between ${from} and ${to}`;
    const box = document.createElement("div");
    box.className = "scroll";
    box.append(table);
    place.append(box);
    makeSortable(place);
  }

  // --- figures ------------------------------------------------------------------------------
  // On a touch screen a drag has to scroll the page, and buttons would lie on the titles.
  const main = document.querySelector("main"); // as wide as every figure; a figure out of sight has no size
  const touch = matchMedia("(pointer: coarse), (max-width: 40rem)").matches;

  function made(place) {
    const shape = data.plots[place.dataset.plot];
    const { further } = data.styles;
    return figures.make[shape.kind](shape, chosenMethods(), main.clientWidth, further, yawRange());
  }

  // Room for a figure before it is drawn, or all below would move when it is.
  function heightOf(place) {
    const { kind } = data.plots[place.dataset.plot];
    return kind === "faces" ? figures.FACES_PX : made(place).layout.height;
  }

  function draw(place) {
    const shape = data.plots[place.dataset.plot];
    const buttons = [["zoom2d", "pan2d", "resetScale2d", "toImage"]];
    const settings = { responsive: true, displaylogo: false, modeBarButtons: buttons };
    if (touch) settings.displayModeBar = false;
    const { traces, layout } = made(place);
    place.style.minHeight = `${layout.height}px`;
    if (touch) layout.dragmode = false;
    const first = !place.classList.contains("js-plotly-plot");
    Plotly.react(place, traces, layout, settings);
    if (first && shape.kind === "faces") watch(place, place.closest("section").dataset.dataset);
    place.dataset.drawn = "";
  }

  // A figure is drawn when it comes into sight: a page may hold hundreds of them.
  const inSight = new Set();
  const sight = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) inSight.add(target);
        else inSight.delete(target);
      }
      drawInSight();
    },
    { rootMargin: "200px" },
  );

  function drawInSight() {
    if (document.documentElement.dataset.plotly === undefined) return;
    for (const place of inSight) {
      if (place.dataset.drawn === undefined && !place.closest("section").hidden) draw(place);
    }
  }

  function drawAgain() {
    for (const place of document.querySelectorAll(".drawing[data-drawn]")) delete place.dataset.drawn;
    drawInSight();
  }

  // Plotly takes as long to start as all of the page, which is shown and takes clicks before.
  async function loadPlotly() {
    const plotly = document.createElement("script");
    plotly.textContent = await unpacked("plotly");
    document.head.append(plotly);
    document.documentElement.dataset.plotly = "";
    drawInSight();
  }

  function fitToPaper() {
    for (const one of document.querySelectorAll("details:not([open])")) {
      one.open = true;
      one.dataset.closed = "";
    }
    fillGalleries(document);
    for (const place of document.querySelectorAll("section:not([hidden]) .drawing")) {
      if (place.dataset.drawn === undefined) draw(place);
      Plotly.relayout(place, { width: 980 });
    }
  }

  function fitToScreen() {
    for (const one of document.querySelectorAll("details[data-closed]")) {
      one.open = false;
      delete one.dataset.closed;
    }
    for (const place of document.querySelectorAll(".js-plotly-plot")) {
      Plotly.relayout(place, { width: null, autosize: true });
    }
  }

  // --- faces --------------------------------------------------------------------------------
  const SVG = "http://www.w3.org/2000/svg";

  function svg(kind, attributes) {
    const element = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  function addAxes(drawing, tips, colours, width) {
    if (!tips) return;
    tips.forEach(([x, y], axis) => {
      const ends = { x1: 50, y1: 50, x2: x, y2: y, "stroke-linecap": "round" };
      drawing.append(svg("line", { ...ends, stroke: colours[axis], "stroke-width": width }));
    });
  }

  function faceFigure(key, method, image) {
    const face = (data.sections[key].faces || {})[image];
    if (!face) return null;
    const figure = document.createElement("figure");
    figure.className = "face";
    const drawing = svg("svg", { viewBox: "0 0 100 100", role: "img" });
    drawing.append(svg("image", { href: face.image, width: 100, height: 100 }));
    addAxes(drawing, face.ground_truth, PALE_COLOURS, 4.5);
    addAxes(drawing, face.predictions[method], AXIS_COLOURS, 1.8);
    const words = document.createElement("figcaption");
    const error = face.errors[method];
    words.textContent = `${image}${error === undefined ? "" : `, off by ${error.toFixed(1)} degrees`}`;
    figure.append(drawing, words);
    return figure;
  }

  function watch(place, key) {
    const hovered = document.querySelector(`[data-hovered="${key}"]`);
    if (!hovered) return;
    place.on("plotly_hover", ({ points: [point] }) => {
      const figure = faceFigure(key, point.data.meta, point.customdata);
      if (figure) hovered.replaceChildren(figure);
    });
  }

  function fillGalleries(root) {
    for (const gallery of root.querySelectorAll(".gallery:not([data-filled])")) {
      gallery.dataset.filled = "";
      const key = gallery.dataset.gallery;
      const method = data.methods[gallery.dataset.m];
      for (const image of data.sections[key].worst[method] || []) {
        const figure = faceFigure(key, method, image);
        if (figure) gallery.append(figure);
      }
    }
  }

  // --- everything together ------------------------------------------------------------------
  function update() {
    const methods = chosenMethods();
    const specs = new Set(methods.map((one) => one.spec));
    const several = filters.querySelector("input[name=dataset]") !== null;
    const sections = chosen("dataset");
    showRows(specs);
    paintSwatches(methods);
    showCounts();
    for (const section of document.querySelectorAll("section.dataset")) {
      section.hidden = several && !sections.has(section.dataset.dataset);
      if (!section.hidden) showRange(section.dataset.dataset, specs);
    }
    drawAgain();
  }

  function choose(which, name) {
    const best = new Set(data.styles.ranked.slice(0, Object.keys(data.styles.looks).length));
    for (const box of filters.querySelectorAll(`input[name=${name}]`)) {
      box.checked = which === "all" || (which === "best" && best.has(box.value));
    }
    update();
  }

  makeSortable(document);
  filters.addEventListener("input", update);
  filters.addEventListener("submit", (event) => event.preventDefault());
  for (const button of filters.querySelectorAll("[data-choose]")) {
    button.addEventListener("click", () => choose(button.dataset.choose, button.dataset.of));
  }
  document.addEventListener("input", ({ target }) => {
    if (target.type === "search") search(target);
  });
  document.addEventListener("toggle", ({ target }) => fillGalleries(target), true);
  update();
  const places = [...document.querySelectorAll(".drawing")];
  const heights = places.map(heightOf); // all before the first change, or each would lay out the page
  places.forEach((place, index) => {
    place.style.minHeight = `${heights[index]}px`;
    sight.observe(place);
  });
  document.documentElement.dataset.ready = "";
  const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  await new Promise(requestAnimationFrame).then(() => later(0)); // drawn, and known what is in sight
  if (!inSight.size) await later(1000);
  await loadPlotly();
  addEventListener("beforeprint", fitToPaper);
  addEventListener("afterprint", fitToScreen);
})();
