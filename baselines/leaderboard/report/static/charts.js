// Live charts: hover values, schemes to hide, a scale that is widened near 1. Drawn by uPlot from the data next to each
// picture; without this file the pictures stay.
"use strict";
(() => {
  const NEAR = 0.02;
  const FONT = "12px system-ui, sans-serif";
  const CHARACTER = 7;
  const LINE = 15;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const nearOne = { fwd: (v) => Math.asinh((v - 1) / NEAR), bwd: (v) => Math.sinh(v) * NEAR + 1 };
  const cut = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);
  const hidden = new Set();
  const views = [];

  const short = (value) => {
    for (const [size, suffix] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
      if (Math.abs(value) >= size) return `${+(value / size).toPrecision(4)}${suffix}`;
    }
    return String(+value.toPrecision(4));
  };
  const exact = (value) => (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(+value.toFixed(3)));

  // Ticks come the most important first; one whose label would overlap another's is left out.
  const fitting = (values, place, room) => {
    const kept = [];
    for (const value of values) if (kept.every((other) => Math.abs(place(value) - place(other)) >= room(value, other))) kept.push(value);
    return kept.sort((a, b) => a - b);
  };

  const axisOf = (view, key, label) => {
    const { chart, wide } = view;
    const horizontal = (key === "x") !== (chart.kind === "rows");
    const names = chart.kind === "rows" && key === "x" ? chart.series.map((s) => cut(s.name, 16)) : null;
    const scored = wide && chart.scores === key;
    const given = names ? names.map((_, i) => i) : scored ? chart.near : key === "x" ? chart.ticks : null;
    const scale = scored ? nearOne.fwd : key === "x" && chart.log ? Math.log10 : (v) => v;
    const show = names ? (v) => names[v] ?? "" : short;
    const axis = {
      scale: key, label: label || undefined, labelSize: 22, font: FONT, labelFont: FONT, side: horizontal ? 2 : 3,
      stroke: () => colour("--ink"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false },
      size: horizontal ? 28 : names ? CHARACTER * Math.max(...names.map((n) => n.length)) + 16 : 52, gap: 6,
      space: horizontal ? 60 : 32, filter: (u, splits) => splits, values: (u, splits) => splits.map((v) => (v === null ? "" : show(v))),
    };
    if (given) {
      axis.splits = (u, i, min, max) => {
        const length = horizontal ? view.width - 90 : view.height - 70;
        const place = (v) => ((scale(v) - scale(min)) / (scale(max) - scale(min))) * length;
        const room = (a, b) => (horizontal ? (CHARACTER * (show(a).length + show(b).length)) / 2 + 8 : LINE);
        return fitting(given.filter((v) => v >= min && v <= max), place, room);
      };
    }
    return axis;
  };

  const ends = (view, key) => {
    const { chart, wide } = view;
    const limits = chart.limits[key === "x" ? 0 : 1];
    if (chart.kind === "rows" && key === "x") return [-0.6, chart.series.length - 0.4];
    if (limits) return limits;
    const seen = chart.series.flatMap((s) => (key === "x" ? s.x : [...s.y, ...s.low, ...s.high])).filter((v) => v !== null);
    if (chart.scores === key && chart.kind !== "points") seen.push(0, 1);
    if (!seen.length) return [0, 1];
    const log = key === "x" && chart.log;
    const [to, from] = log ? [Math.log10, (v) => 10 ** v] : wide && chart.scores === key ? [nearOne.fwd, nearOne.bwd] : [(v) => v, (v) => v];
    const [low, high] = [to(Math.min(...seen)), to(Math.max(...seen))];
    const margin = 0.06 * (high - low || Math.abs(high) || 1);
    return [from(low - margin), from(high + margin)];
  };

  // What uPlot does not draw: ends of identity phases, intervals of points, and names next to what they name.
  const drawMore = (view, u) => {
    const { chart } = view;
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio;
    const rows = chart.kind === "rows";
    const at = (key, value) => u.valToPos(value, key, true);
    const point = (x, y) => (rows ? [at("y", y), at("x", x)] : [at("x", x), at("y", y)]);
    const stroke = (style, width, dashes, ...lines) => {
      ctx.beginPath();
      ctx.strokeStyle = style;
      ctx.lineWidth = width * ratio;
      ctx.setLineDash(dashes.map((dash) => dash * ratio));
      for (const [a, b] of lines) { ctx.moveTo(...a); ctx.lineTo(...b); }
      ctx.stroke();
    };
    ctx.save();
    ctx.font = `${12 * ratio}px system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    const shown = chart.series.filter((s) => !hidden.has(s.name));
    const right = bbox.left + bbox.width;
    const bottom = bbox.top + bbox.height;
    const taken = [];
    const write = (text, x, y) => {
      ctx.setLineDash([]);
      ctx.lineWidth = 3 * ratio;
      ctx.strokeStyle = colour("--paper");
      ctx.strokeText(text, x, y);
      ctx.fillText(text, x, y);
    };
    const beside = (name, x, y) => {
      const width = ctx.measureText(name).width;
      const gap = 8 * ratio;
      for (const [left, line] of [[x + gap, y], [x - gap - width, y], [x - width / 2, y - 13 * ratio], [x - width / 2, y + 13 * ratio]]) {
        const box = [left, line - 7 * ratio, left + width, line + 7 * ratio];
        const inside = box[0] > bbox.left && box[2] < u.width * ratio && box[1] > 0 && box[3] < bottom;
        if (!inside || taken.some((o) => box[0] < o[2] && o[0] < box[2] && box[1] < o[3] && o[1] < box[3])) continue;
        taken.push(box);
        write(name, left, line);
        return;
      }
    };
    ctx.fillStyle = colour("--ink");
    if (chart.kind === "lines") {
      for (const s of shown) {
        if (s.start > 0) stroke(s.colour, 1, [1.5, 2], [[at("x", s.start), bbox.top], [at("x", s.start), bottom]]);
      }
      if (chart.scores === "x") {
        chart.series.forEach((s, i) => {
          const level = [0.5, 0.8, 0.2, 0.65, 0.35, 0.93, 0.07][i % 7];
          const last = Math.max(0, s.y.findLastIndex((y) => y >= level));
          if (!hidden.has(s.name)) beside(cut(s.name, 16), at("x", s.x[last]), at("y", level));
        });
      } else if (view.room) {
        const last = shown.map((s) => [at("y", s.y.findLast((y) => y !== null) ?? NaN), s]).filter(([y]) => Number.isFinite(y));
        last.sort(([a], [b]) => a - b);
        let free = bbox.top;
        const moved = last.map(([y]) => { free = Math.max(free, y) + LINE * ratio; return free - LINE * ratio; });
        last.forEach(([y, s], i) => {
          const line = Math.min(moved[i], bottom - LINE * ratio * (last.length - 1 - i));
          const end = Math.min(Math.max(y, bbox.top), bottom);
          // In the curve's own colour it would look like a part of it.
          stroke(colour("--rule"), 0.75, [], [[right + 1, end], [right + 8 * ratio, line]]);
          stroke(s.colour, 3, [], [[right + 9 * ratio, line], [right + 14 * ratio, line]]);
          write(cut(s.name, view.letters), right + 17 * ratio, line);
        });
      }
    } else {
      const cap = 5 * ratio;
      for (const s of shown) {
        if (s.y[0] === null) continue;
        const [x, y] = point(s.x[0], s.y[0]);
        taken.push([x - cap, y - cap, x + cap, y + cap]);
        if (s.low[0] === null || s.high[0] === null) continue;
        const [a, b] = [point(s.x[0], s.low[0]), point(s.x[0], s.high[0])];
        const across = rows ? [0, cap] : [cap, 0];
        const caps = [a, b].map(([p, q]) => [[p - across[0], q - across[1]], [p + across[0], q + across[1]]]);
        stroke(s.colour, 2, [], [a, b], ...caps);
      }
      for (const s of rows ? [] : shown) if (s.y[0] !== null) beside(cut(s.name, 16), ...point(s.x[0], s.y[0]));
    }
    ctx.restore();
  };

  // The point of a shown scheme that is nearest to the pointer, told in a few words.
  const nearest = (view, u, left, top) => {
    const rows = view.chart.kind === "rows";
    let best = null;
    for (const s of view.chart.series) {
      if (hidden.has(s.name)) continue;
      s.x.forEach((x, i) => {
        if (x === null || s.y[i] === null) return;
        const [a, b] = rows ? [u.valToPos(s.y[i], "y"), u.valToPos(x, "x")] : [u.valToPos(x, "x"), u.valToPos(s.y[i], "y")];
        const distance = view.chart.kind === "lines" ? Math.hypot(3 * (a - left), b - top) : rows ? Math.abs(b - top) : Math.hypot(a - left, b - top);
        if (!best || distance < best.distance) best = { distance, s, i, a, b };
      });
    }
    return best;
  };

  const told = ({ chart }, { s, i }) => {
    const interval = s.low[i] === null || s.high[i] === null ? "" : ` [${exact(s.low[i])}, ${exact(s.high[i])}]`;
    const where = chart.kind === "rows" ? "" : `; ${chart.labels[0].replace(/ \(.*|,.*/, "")} ${exact(s.x[i])}`;
    return `${s.name}: ${exact(s.y[i])}${interval}${where}`;
  };

  const showTip = (view, found) => {
    const { tip, plot } = view;
    view.found = found;
    tip.hidden = !found;
    if (!found) return;
    const text = told(view, found);
    if (tip.textContent !== text) tip.textContent = text;
    const frame = plot.over;
    tip.style.left = `${Math.max(0, Math.min(frame.offsetLeft + found.a + 12, view.width - tip.offsetWidth))}px`;
    tip.style.top = `${Math.max(0, frame.offsetTop + found.b - tip.offsetHeight - 10)}px`;
  };

  const draw = (view) => {
    const { chart, box, wide } = view;
    view.plot?.destroy();
    showTip({ ...view, plot: null }, null);
    view.width = Math.max(box.clientWidth, 200);
    view.height = chart.kind === "rows" ? 70 + 28 * Math.max(chart.series.length, 1) : 320;
    view.letters = view.width < 480 ? 10 : 16;
    const names = chart.kind === "lines" && chart.scores === "y" ? chart.series.map((s) => cut(s.name, view.letters).length) : [];
    view.room = names.length ? 24 + CHARACTER * Math.max(...names) : 0;
    const lines = chart.kind === "lines";
    const series = [{}];
    const bands = [];
    for (const s of chart.series) {
      const show = !hidden.has(s.name);
      const base = { show, scale: "y", spanGaps: true, points: { show: false } };
      series.push({ ...base, label: s.name, stroke: s.colour, width: 2, dash: s.dashes.map((dash) => dash * devicePixelRatio) });
      if (!lines) {
        Object.assign(series.at(-1), { paths: () => null, points: { show: true, size: 10, fill: s.colour, stroke: s.colour } });
        continue;
      }
      series.push({ ...base, width: 0 }, { ...base, width: 0 });
      bands.push({ series: [series.length - 1, series.length - 2], fill: `${s.colour}38`, show });
    }
    const columns = chart.series.map((s) => (lines ? [s.x, s.y, s.low, s.high] : [s.x, s.y]));
    // Steps may stand still in an identity phase; uPlot takes each x once.
    const data = columns.length ? uPlot.join(columns) : [[]];
    const score = { distr: 100, ...nearOne };
    const rows = chart.kind === "rows";
    const scales = {
      x: { time: false, range: () => ends(view, "x"), ...(rows ? { ori: 1, dir: -1 } : {}), ...(chart.log ? { distr: 3 } : {}) },
      y: { range: () => ends(view, "y"), ...(rows ? { ori: 0, dir: 1 } : {}) },
    };
    if (wide && chart.scores) Object.assign(scales[chart.scores], score);
    const options = {
      width: view.width, height: view.height, series, bands, scales, padding: [10, Math.max(view.room, 16), 4, 4],
      axes: [axisOf(view, "x", chart.labels[0]), axisOf(view, "y", chart.labels[1])], legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: false }, x: lines, y: false },
      hooks: {
        draw: [(u) => drawMore(view, u)],
        setCursor: [(u) => { if (view.live) showTip(view, u.cursor.left < 0 ? null : nearest(view, u, u.cursor.left, u.cursor.top)); }],
      },
    };
    view.live = false;
    view.plot = new uPlot(options, data, box);
    view.live = true;
  };

  // Arrow keys go from point to point and from scheme to scheme.
  const walk = (view, event) => {
    const shown = view.chart.series.filter((s) => !hidden.has(s.name) && s.y.some((y) => y !== null));
    const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0;
    const over = { ArrowUp: -1, ArrowDown: 1 }[event.key] ?? 0;
    if (event.key === "Escape") showTip(view, null);
    if (!(along || over) || !shown.length) return;
    event.preventDefault();
    const single = view.chart.kind !== "lines";
    const was = view.found ?? { s: shown.at(-1), i: view.found ? 0 : -1 };
    const s = shown[(shown.indexOf(was.s) + (single ? along + over : over) + shown.length) % shown.length];
    const i = single ? 0 : Math.max(0, Math.min(was.i + along, s.x.length - 1));
    const [x, y] = [view.plot.valToPos(s.x[i], "x"), view.plot.valToPos(s.y[i] ?? 0, "y")];
    const [a, b] = view.chart.kind === "rows" ? [y, x] : [x, y];
    showTip(view, { s, i, a, b });
  };

  const connect = (figure) => {
    const chart = JSON.parse(figure.querySelector("script").textContent);
    const box = document.createElement("div");
    box.className = "live";
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", `${chart.title}; arrow keys tell the values`);
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.setAttribute("role", "status");
    tip.hidden = true;
    box.append(tip);
    const view = { chart, box, tip, wide: chart.wide };
    if (chart.scores) {
      const toggle = document.createElement("button");
      toggle.type = "button";
      toggle.className = "toggle";
      toggle.textContent = "widen near 1";
      toggle.setAttribute("aria-pressed", String(view.wide));
      toggle.addEventListener("click", () => {
        view.wide = !view.wide;
        toggle.setAttribute("aria-pressed", String(view.wide));
        draw(view);
      });
      figure.querySelector("figcaption").append(" ", toggle);
    }
    figure.querySelector(".static").replaceWith(box);
    box.addEventListener("keydown", (event) => walk(view, event));
    box.addEventListener("blur", () => showTip(view, null));
    new ResizeObserver(() => { if (Math.abs(box.clientWidth - view.width) > 1) draw(view); }).observe(box);
    draw(view);
    views.push(view);
  };

  const connectLegend = (item) => {
    const name = item.querySelector("span").textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...item.childNodes);
    button.title = "Hide or show in all charts";
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      if (!hidden.delete(name)) hidden.add(name);
      button.setAttribute("aria-pressed", String(!hidden.has(name)));
      views.forEach(draw);
    });
    item.append(button);
  };

  document.querySelectorAll("figure.chart").forEach(connect);
  document.querySelectorAll(".legend li").forEach(connectLegend);
  dark.addEventListener("change", () => views.forEach(draw));
})();
