"use strict";
// Figures of a report: from shapes (figures/shapes.py) to what Plotly draws.
// A figure gets the chosen methods, the best first, each with its look; `look` is missing for
// methods that share one grey.
const figures = (() => {
  const GREY = "#9aa7b2";
  const GRID = "#e3e3e3";
  const PX_PER_INCH = 100;
  const PX_PER_SIGN = 7; // of a title
  const HEAT_PX = 200; // height of a map
  const MOST_INTERVALS = 6; // with more lines, bands are not told apart any more
  const MOST_POINTS = 4000; // in a plot of faces; a browser draws no more smoothly

  const escaped = (text) =>
    text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`); // Plotly reads a kind of HTML

  // Lines of a long name, broken after brackets, commas and the like.
  function wrapped(text, width) {
    const lines = [""];
    for (const piece of text.match(/[^\s[,=_/-]*[\s[,=_/-]?/g) || []) {
      for (let start = 0; start < piece.length; start += width) {
        const part = piece.slice(start, start + width);
        const last = lines[lines.length - 1];
        if (last && last.length + part.trimEnd().length > width) lines.push("");
        lines[lines.length - 1] += part;
      }
    }
    return lines.map(escaped).join("<br>");
  }

  // {x:.1f} as Plotly writes it, in a template without the name of the trace.
  const template = (hover) => hover.replace(/\{([xy])/g, "%{$1");

  // --- axes -------------------------------------------------------------------------------
  // Domains of panels below and beside one another, with gaps in pixels.
  function domains(heights, columns, width, gap) {
    const total = heights.reduce((a, b) => a + b, 0) + gap.y * (heights.length - 1);
    const found = [];
    let top = total;
    const wide = (width - gap.x * (columns - 1)) / columns;
    for (const height of heights) {
      const y = [Math.max(0, (top - height) / total), top / total];
      for (let column = 0; column < columns; column += 1) {
        const left = column * (wide + gap.x);
        found.push({ x: [left / width, Math.min(1, (left + wide) / width)], y });
      }
      top -= height + gap.y;
    }
    return { found, total };
  }

  // Title of an x axis, in lines that are no wider than the panel.
  const titleBelow = (axis, width) => wrapped(axis.title, Math.floor(width / PX_PER_SIGN));

  // What a title needs for its lines after the first.
  const furtherLinesPx = (title) => 18 * (title.split("<br>").length - 1);

  function axisOf(axis, domain, title) {
    const found = { domain, gridcolor: GRID, zeroline: false, title: { text: title } };
    if (axis.ticks) [found.tickvals, found.ticktext] = [axis.ticks[0], axis.ticks[1].map((one) => wrapped(one, 24))];
    if (axis.log) {
      found.type = "log";
      found.minorloglabels = "complete"; // else 20 is written "2"
    }
    if (axis.low !== null && axis.high !== null) found.range = [axis.low, axis.high];
    else if (axis.low === 0 && !axis.log) found.rangemode = "tozero";
    return found;
  }

  const suffix = (index) => (index ? `${index + 1}` : "");

  function titleOf(text, index) {
    const ends = { xref: `x${suffix(index)} domain`, yref: `y${suffix(index)} domain`, x: 0.5, y: 1 };
    return { ...ends, text, showarrow: false, yanchor: "bottom", font: { size: 13 } };
  }

  // Room for the legend below: Plotly sets its entries in columns as wide as the widest.
  function legendPx(traces, width) {
    const names = traces.filter((one) => one.showlegend).map((one) => one.name);
    const widest = Math.max(1, ...names.map((name) => 50 + 7 * name.length));
    return 20 * Math.ceil(names.length / Math.max(1, Math.floor(width / widest)));
  }

  function layoutOf(traces, width, height, margin) {
    const sides = { l: 60, r: 20, t: 40, b: 0, ...margin }; // b: beyond axis and legend
    const below = 55 + sides.b + legendPx(traces, width - sides.l - sides.r);
    return {
      height: height + sides.t + below,
      margin: { ...sides, b: below },
      font: { size: 13 },
      hovermode: "closest",
      legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", tracegroupgap: 0 }, // a method is a group
      annotations: [],
      plot_bgcolor: "#fff",
      paper_bgcolor: "#fff",
    };
  }

  // --- lines ------------------------------------------------------------------------------
  function traceOf(method, line, axes, first) {
    return {
      ...axes, type: "scatter", x: line.x, y: line.y, meta: method.spec,
      name: escaped(method.label), legendgroup: method.spec, showlegend: first,
      line: { color: method.look.colour, dash: method.look.dash, width: 2 },
      marker: { symbol: method.look.symbol, size: 7, color: method.look.colour },
    };
  }

  // Whether y counts rows, in which the methods stand below one another.
  function inRows(shape) {
    return ["rows", "bars"].includes(shape.look);
  }

  function bandOf(trace, line) {
    // A step without an interval closes the band on the mean, as a gap would cut it off.
    const ends = [line.high, line.low].map((limits) => limits.map((one, i) => one ?? line.y[i]));
    return {
      ...trace, x: [...line.x, ...[...line.x].reverse()], y: [...ends[0], ...ends[1].reverse()],
      mode: "lines", fill: "toself", fillcolor: trace.line.color, opacity: 0.15, line: { width: 0 },
      hoverinfo: "skip", showlegend: false,
    };
  }

  function hollowed(trace, line) {
    const { symbol } = trace.marker;
    trace.marker.symbol = line.hollow.map((hollow) => (hollow ? `${symbol}-open` : symbol));
    trace.cliponaxis = false; // else the axis cuts a marker at 0 in half
  }

  function drawnLine(shape, method, line, axes, first, place) {
    const trace = traceOf(method, line, axes, first);
    trace.hovertemplate = template(shape.hover);
    if (line.texts) Object.assign(trace, { text: line.texts.map(escaped), hovertemplate: "%{text}" });
    if (shape.look === "steps") return [{ ...trace, mode: "lines", line: { ...trace.line, shape: "hvh" } }];
    if (shape.look === "points") {
      trace.marker.size = 13;
      hollowed(trace, line);
      return [{ ...trace, mode: "markers" }];
    }
    if (inRows(shape)) {
      const offset = 0.7 * ((place.index + 0.5) / place.count - 0.5);
      trace.y = line.y.map((y) => y + offset);
      const gap = (a, b) => (a === null || b === null ? null : a - b);
      trace.error_x = {
        type: "data", symmetric: false, thickness: 1.5, width: 0,
        array: line.high.map((high, i) => gap(high, line.x[i])),
        arrayminus: line.low.map((low, i) => gap(line.x[i], low)),
      };
      hollowed(trace, line);
      const points = { ...trace, mode: "markers" };
      if (shape.look === "rows") return [points];
      const bars = {
        ...axes, type: "bar", orientation: "h", x: line.x, y: trace.y, width: 0.6 / place.count, showlegend: false,
        legendgroup: method.spec, hoverinfo: "skip", marker: { color: method.look.colour, opacity: 0.4 },
      };
      return [bars, points];
    }
    trace.mode = line.x.length > 30 ? "lines" : "lines+markers";
    const found = [trace];
    if (line.low && place.count <= MOST_INTERVALS) found.unshift(bandOf(trace, line));
    if (line.frontal) {
      found.push({
        ...trace, y: line.frontal, showlegend: false, line: { ...trace.line, dash: "dot", width: 1 },
        marker: { symbol: `${method.look.symbol}-open`, size: 5 },
        hovertemplate: `${trace.hovertemplate}, missing predictions as frontal`,
      });
    }
    return found;
  }

  // All methods without a look in one trace, with a gap between two of them.
  function furtherLines(shape, methods, lines, axes, first, look) {
    const trace = {
      ...axes, type: "scatter", x: [], y: [], text: [], connectgaps: false, showlegend: first,
      name: `${methods.length} further method${methods.length > 1 ? "s" : ""}`,
      legendgroup: "further", hovertemplate: "%{text}<extra></extra>",
      mode: inRows(shape) || shape.look === "points" ? "markers" : "lines",
      line: { color: look.colour, width: 1, shape: shape.look === "steps" ? "hvh" : "linear" },
      marker: { color: look.colour, symbol: inRows(shape) ? "line-ns-open" : "circle", size: 8 },
    };
    for (const method of methods) {
      const line = lines[method.spec];
      if (!line) continue;
      const name = escaped(method.label);
      const texts = line.texts ? line.texts.map((one) => `${name}<br>${escaped(one)}`) : line.x.map(() => name);
      trace.x.push(...line.x, null);
      trace.y.push(...line.y, null);
      trace.text.push(...texts, "");
    }
    return trace;
  }

  function lines(shape, methods, width, further) {
    const withLook = methods.filter((one) => one.look);
    const named = withLook.slice(0, shape.most);
    const rest = methods.filter((one) => !named.includes(one));
    const columns = width < 600 ? 1 : shape.columns;
    const rows = Math.ceil(shape.panels.length / columns);
    const heights = [];
    for (let row = 0; row < rows; row += 1) heights.push(PX_PER_INCH * shape.panels[row * columns].height);
    const stacked = shape.columns === 1;
    const varied = new Set(shape.panels.map((panel) => panel.x.title)).size > 1;
    const left = inRows(shape) ? 168 : 60;
    const wide = width - left - 20;
    const titles = shape.panels.map((panel) => titleBelow(panel.x, wide / columns));
    const furtherPx = Math.max(...titles.map(furtherLinesPx));
    const margin = { l: left, b: furtherPx };
    const between = varied ? 75 + furtherPx : 50; // x titles stand between the rows, or do not
    const gap = { x: 25, y: stacked ? (inRows(shape) ? 28 : 12) : between };
    const { found: places, total } = domains(heights, columns, wide, gap);
    const traces = [];
    const layout = {};
    const seen = new Set();
    shape.panels.forEach((panel, index) => {
      const axes = { xaxis: `x${suffix(index)}`, yaxis: `y${suffix(index)}` };
      const last = index >= shape.panels.length - columns;
      const middle = index % columns === Math.floor(Math.min(columns, shape.panels.length) / 2);
      const titled = stacked ? last : varied || (middle && last);
      layout[`xaxis${suffix(index)}`] = axisOf(panel.x, places[index].x, titled ? titles[index] : "");
      layout[`yaxis${suffix(index)}`] = axisOf(panel.y, places[index].y, index % columns ? "" : escaped(panel.y.title));
      // names of rows keep clear of a marker at 0
      if (inRows(shape)) Object.assign(layout[`yaxis${suffix(index)}`], { ticks: "outside", tickcolor: "transparent" });
      layout[`xaxis${suffix(index)}`].anchor = axes.yaxis;
      layout[`yaxis${suffix(index)}`].anchor = axes.xaxis;
      if (index && stacked) layout[`xaxis${suffix(index)}`].matches = "x";
      if (stacked && !last) layout[`xaxis${suffix(index)}`].showticklabels = false;
      if (index && !stacked) layout[`yaxis${suffix(index)}`].matches = "y";
      if (panel.bars) {
        const [x, y] = panel.bars;
        traces.push({ ...axes, type: "bar", x, y, marker: { color: GREY }, showlegend: false, hovertemplate: "%{y} faces<extra></extra>" });
      }
      if (panel.reference) {
        const [x, y] = panel.reference;
        traces.push({ ...axes, type: "scatter", x, y, mode: "lines", line: { color: GREY }, hoverinfo: "skip", showlegend: false });
      }
      const others = rest.filter((one) => panel.lines[one.spec]);
      if (others.length) {
        traces.push(furtherLines(shape, others, panel.lines, axes, !seen.has("further"), further));
        seen.add("further");
      }
      named.forEach((method, at) => {
        const line = panel.lines[method.spec];
        if (!line) return;
        const place = { index: at, count: named.length };
        traces.push(...drawnLine(shape, method, line, axes, !seen.has(method.spec), place));
        seen.add(method.spec);
      });
    });
    const annotations = shape.panels.flatMap((panel, index) => {
      if (!panel.title) return [];
      return [{ ...titleOf(wrapped(panel.title, 40), index), ...(inRows(shape) ? { x: 0, xanchor: "left", align: "left" } : {}) }];
    });
    return { traces, layout: { ...layoutOf(traces, width, total, margin), ...layout, annotations, barmode: "overlay" } };
  }

  // --- bars -------------------------------------------------------------------------------
  function bars(shape, methods, width) {
    const shown = methods.filter((one) => one.spec in shape.texts);
    const places = shown.map((_, index) => index);
    const names = shown.map((one) => wrapped(one.label, 24));
    const traces = Object.entries(shape.parts).map(([part, lengths]) => ({
      type: "bar", orientation: "h", y: places, x: shown.map((one) => lengths[one.spec]), name: part,
      marker: { color: shape.colours[part] }, hovertemplate: template(shape.hover), showlegend: true,
    }));
    const marked = shown.filter((one) => one.spec in shape.marks);
    traces.push({
      type: "scatter", mode: "markers", y: marked.map((one) => shown.indexOf(one)),
      x: marked.map((one) => shape.marks[one.spec]), name: shape.mark_name, showlegend: true,
      marker: { symbol: "line-ns-open", size: 16, color: "#000" }, hovertemplate: template(shape.hover),
    });
    const end = ({ spec }) => Math.max(Object.values(shape.parts).reduce((sum, part) => sum + part[spec], 0), shape.marks[spec] ?? 0);
    traces.push({
      type: "scatter", mode: "text", y: places, x: shown.map(end), text: shown.map((one) => escaped(` ${shape.texts[one.spec]}`)),
      textposition: "middle right", cliponaxis: false, hoverinfo: "skip", showlegend: false,
    });
    const lineCount = names.reduce((sum, name) => sum + name.split("<br>").length, 0);
    const sides = { l: 190, r: 90, t: 30 }; // r: the numbers; t: the buttons
    const title = titleBelow(shape.x, width - sides.l - sides.r);
    const margin = { ...sides, b: furtherLinesPx(title) };
    const layout = layoutOf(traces, width, 40 + 12 * shown.length + 17 * lineCount, margin);
    const axis = { tickvals: places, ticktext: names, range: [shown.length - 0.4, -0.6], zeroline: false };
    return { traces, layout: { ...layout, barmode: "stack", xaxis: axisOf(shape.x, [0, 1], title), yaxis: axis } };
  }

  // --- heat -------------------------------------------------------------------------------
  function heat(shape, methods, width) {
    const shown = methods.filter((one) => one.look);
    const drawn = shape.panels.flatMap((panel) =>
      shown.filter((one) => panel.cells[one.spec]).slice(0, shape.most).map((method) => ({ panel, method })));
    const columns = Math.min(width < 800 ? 2 : 3, drawn.length || 1);
    const rows = Math.ceil(drawn.length / columns);
    const titles = drawn.map(({ panel, method }) =>
      (panel.title ? `<b>${wrapped(panel.title, 28)}</b><br>` : "") + wrapped(method.label, 28));
    const lineCount = Math.max(1, ...titles.map((title) => title.split("<br>").length));
    const left = shape.written ? 110 : 60;
    const wide = width - left - 90;
    const gap = { x: shape.written ? 110 : 25, y: 60 + 17 * lineCount };
    const below = drawn.map(({ panel }) => titleBelow(panel.x, (wide - gap.x * (columns - 1)) / columns));
    const margin = { l: left, t: 20 + 17 * lineCount, b: 16 + Math.max(0, ...below.map(furtherLinesPx)) };
    const { found: places, total } = domains(Array(rows).fill(HEAT_PX), columns, wide, gap);
    const layout = {};
    const traces = drawn.map(({ panel, method }, index) => {
      const last = index >= drawn.length - columns;
      const outer = index % columns === 0 || shape.written; // else its words would lie on the next panel
      layout[`xaxis${suffix(index)}`] = { ...axisOf(panel.x, places[index].x, last || shape.written ? below[index] : ""), anchor: `y${suffix(index)}` };
      layout[`yaxis${suffix(index)}`] = {
        ...axisOf(panel.y, places[index].y, outer ? escaped(panel.y.title) : ""),
        anchor: `x${suffix(index)}`, showticklabels: outer, ticks: outer ? "outside" : "",
      };
      const middle = (edges) => edges.slice(1).map((edge, i) => (edge + edges[i]) / 2);
      const { values, faces } = panel.cells[method.spec];
      const named = panel.x.ticks ? values.map((row, y) => row.map((_, x) => escaped(`${panel.y.ticks[1][y]}, ${panel.x.ticks[1][x]}`))) : undefined;
      return {
        type: "heatmap", x: middle(panel.x_edges), y: middle(panel.y_edges), z: values, customdata: faces,
        text: named, coloraxis: "coloraxis", meta: method.spec, xaxis: `x${suffix(index)}`, yaxis: `y${suffix(index)}`,
        texttemplate: shape.written ? "%{z:.1f}" : undefined,
        hovertemplate: `${named ? "%{text}" : "yaw %{x:.0f}, pitch %{y:.0f}"}: %{z:.1f} degrees over %{customdata} faces<extra></extra>`,
      };
    });
    const base = layoutOf([], width, drawn.length ? total : 60, { ...margin, r: 90 });
    const annotations = titles.map((title, index) => titleOf(title, index));
    const bar = { title: { text: "degrees" }, thickness: 14, len: HEAT_PX / (total || HEAT_PX), y: 1, yanchor: "top" };
    layout.coloraxis = { colorscale: "Viridis", cmin: 0, cmax: shape.highest, colorbar: bar };
    return { traces, layout: { ...base, ...layout, annotations } };
  }

  // --- faces ------------------------------------------------------------------------------
  const unpackedTexts = new Map();

  // Angles in degrees from base64 of int16 hundredths; NaN is a missing one.
  function unpacked(text) {
    if (!unpackedTexts.has(text)) {
      const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
      const hundredths = new DataView(bytes.buffer);
      const found = Float64Array.from({ length: bytes.length / 2 }, (_, place) => {
        const value = hundredths.getInt16(2 * place, true);
        return value === -32768 ? NaN : value / 100;
      });
      unpackedTexts.set(text, found);
    }
    return unpackedTexts.get(text);
  }

  const triple = (angles, face) =>
    ["yaw", "pitch", "roll"]
      .map((name, axis) => [name, angles[3 * face + axis]])
      .filter(([, angle]) => !Number.isNaN(angle))
      .map(([name, angle]) => `${name} ${angle.toFixed(1)}`)
      .join(", ");

  function faces(shape, methods, width, further, [from, to]) {
    const most = Math.max(1, Math.floor(MOST_POINTS / shape.names.length));
    const known = methods.filter((one) => one.look && shape.methods[one.spec]);
    const shown = known.slice(0, most);
    const truth = unpacked(shape.angles);
    const traces = shown.map((method) => {
      const { errors: packedErrors, angles: packedAngles } = shape.methods[method.spec];
      const [errors, angles] = [unpacked(packedErrors), unpacked(packedAngles)];
      const kept = shape.names
        .map((_, face) => face)
        .filter((face) => {
          const yaw = Math.abs(truth[3 * face]);
          return yaw >= from && yaw <= to && !Number.isNaN(errors[face]);
        });
      const { line: _, ...trace } = traceOf(method, { x: kept.map((face) => truth[3 * face]), y: kept.map((face) => errors[face]) }, {}, true);
      return {
        ...trace, mode: "markers", marker: { ...trace.marker, size: 6, opacity: 0.6 },
        customdata: kept.map((face) => shape.names[face]),
        text: kept.map((face) =>
          `<b>${escaped(shape.names[face])}</b><br>ground truth ${triple(truth, face)}<br>predicted ${triple(angles, face)}`),
        hovertemplate: "%{text}<br>off by %{y:.1f} degrees",
      };
    });
    const layout = layoutOf(traces, width, 330, { t: known.length > most ? 60 : 40 });
    layout.xaxis = axisOf(shape.x, [0, 1], titleBelow(shape.x, width - 80));
    layout.yaxis = axisOf(shape.y, [0, 1], escaped(shape.y.title));
    if (known.length > most) {
      const said = `The best ${most} of the chosen methods; choose fewer to see others.`;
      layout.annotations = [{ text: said, showarrow: false, xref: "paper", yref: "paper", x: 0, y: 1, xanchor: "left", yanchor: "bottom" }];
    }
    return { traces, layout };
  }

  return { FACES_PX: 450, make: { lines, bars, heat, faces } };
})();
