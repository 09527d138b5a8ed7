"use strict";
// Sorting, filters, figures and faces of one report. No library but Plotly, no outside address.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const filters = document.getElementById("filters");
  const AXIS_COLOURS = ["#eb322d", "#2dc846", "#3c78ff"];
  const PALE_COLOURS = ["#f8b4b2", "#b2ecbd", "#bdd2ff"];

  // --- tables -------------------------------------------------------------------------------
  const valueOf = (row, place) => row.cells[place].dataset.value;

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

  function showRows(methods) {
    for (const table of document.querySelectorAll(".table")) {
      const search = table.querySelector("input[type=search]");
      const words = search ? search.value.toLowerCase() : "";
      for (const row of table.querySelectorAll("tbody tr")) {
        const other = row.dataset.method !== undefined && !methods.has(row.dataset.method);
        row.hidden = other || !row.textContent.toLowerCase().includes(words);
      }
    }
    for (const one of document.querySelectorAll("#summary tr[data-method], .gallery[data-method]")) {
      one.hidden = !methods.has(one.dataset.method);
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
    const table = document.createElement("table");
    table.className = "sortable";
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
    for (const [method, sums] of Object.entries(data.sections[key].by_yaw)) {
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
      row.cells[0].className = "words";
    }
    table.createCaption().textContent =
      `Mean absolute error on faces with ground-truth |yaw| from ${from} to ${to} degrees`;
    const box = document.createElement("div");
    box.className = "scroll";
    box.append(table);
    place.append(box);
    makeSortable(place);
  }

  // --- figures ------------------------------------------------------------------------------
  function filteredTraces(name, methods) {
    const [from, to] = yawRange();
    return data.plots[name].data.map((trace) => {
      const shown = { ...trace };
      if (trace.meta !== undefined && !methods.has(trace.meta)) shown.visible = false;
      if (name.endsWith("-scatter")) {
        const kept = trace.x.map((yaw) => Math.abs(yaw) >= from && Math.abs(yaw) <= to);
        for (const column of ["x", "y", "text", "customdata"]) {
          shown[column] = trace[column].filter((_, place) => kept[place]);
        }
      }
      return shown;
    });
  }

  // On a touch screen a drag has to scroll the page, and buttons would lie on the titles.
  const touch = matchMedia("(pointer: coarse), (max-width: 40rem)").matches;

  // Room for the legend below: Plotly sets its entries in columns as wide as the widest.
  function layoutOf(name, traces, width) {
    const base = data.plots[name].layout;
    const named = traces.filter((one) => one.name && one.showlegend !== false && one.visible !== false);
    const entries = [...new Set(named.map((one) => one.name))];
    const widest = Math.max(1, ...entries.map((entry) => 50 + 7 * entry.length));
    const rows = Math.ceil(entries.length / Math.max(1, Math.floor(width / widest)));
    const below = 20 * Math.max(0, rows - 1);
    const margin = { ...base.margin, b: base.margin.b + below };
    const layout = { ...base, margin, height: base.height + below };
    if (touch) layout.dragmode = false;
    if (width < 600 && base.annotations) {
      layout.annotations = base.annotations.map((one) => ({ ...one, font: { ...one.font, size: 9 } }));
    }
    return layout;
  }

  function draw(place, methods) {
    const name = place.dataset.plot;
    const buttons = [["zoom2d", "pan2d", "resetScale2d", "toImage"]];
    const settings = { responsive: true, displaylogo: false, modeBarButtons: buttons };
    if (touch) settings.displayModeBar = false;
    const first = !place.classList.contains("js-plotly-plot");
    const traces = filteredTraces(name, methods);
    Plotly.react(place, traces, layoutOf(name, traces, place.clientWidth), settings);
    if (first && name.endsWith("-scatter")) watch(place, name.slice(0, -"-scatter".length));
  }

  function fitToPaper() {
    for (const one of document.querySelectorAll("details:not([open])")) {
      one.open = true;
      one.dataset.closed = "";
    }
    for (const place of document.querySelectorAll(".js-plotly-plot")) {
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

  function fillGalleries() {
    for (const gallery of document.querySelectorAll(".gallery")) {
      const { gallery: key, method } = gallery.dataset;
      for (const image of data.sections[key].worst[method] || []) {
        const figure = faceFigure(key, method, image);
        if (figure) gallery.append(figure);
      }
    }
  }

  // --- everything together ------------------------------------------------------------------
  function update() {
    const methods = chosen("method");
    const several = filters.querySelector("input[name=dataset]") !== null;
    const sections = chosen("dataset");
    showRows(methods);
    for (const section of document.querySelectorAll("section.dataset")) {
      section.hidden = several && !sections.has(section.dataset.dataset);
      if (section.hidden) continue;
      showRange(section.dataset.dataset, methods);
      for (const place of section.querySelectorAll(".drawing")) draw(place, methods);
    }
  }

  makeSortable(document);
  fillGalleries();
  addEventListener("beforeprint", fitToPaper);
  addEventListener("afterprint", fitToScreen);
  filters.addEventListener("input", update);
  filters.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("input", (event) => {
    if (event.target.type === "search") showRows(chosen("method"));
  });
  update();
})();
