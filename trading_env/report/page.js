"use strict";
// Draws the page's charts and tables from the JSON in #book. Names are put in as text only.
(() => {
  const book = JSON.parse(document.getElementById("book").textContent);
  const root = document.documentElement;
  const decoded = new Map();
  const KINDS = { f4: Float32Array, f8: Float64Array, i1: Int8Array, i2: Int16Array, i4: Int32Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };
  const COLOURS = new Set(["color", "fillcolor", "bgcolor", "colorscale"]);
  const VISIBLE = 300; // points in view, below which a finer resolution is taken
  const BEAMS = 400; // trades drawn at once
  const MARKED = 150; // of them, up to which entries and exits are marked

  // -- arrays and colours ---------------------------------------------------------------------------------------
  function array(ref) {
    if (Array.isArray(ref)) return ref;
    const key = `${ref.$}/${ref.per || 1}`;
    if (!decoded.has(key)) {
      const { dtype, bdata } = book.arrays[ref.$];
      const bytes = Uint8Array.from(atob(bdata), (c) => c.charCodeAt(0));
      let values = new KINDS[dtype](bytes.buffer);
      if (ref.per) values = Float64Array.from(values, (v) => v / ref.per);
      decoded.set(key, values);
    }
    return decoded.get(key);
  }

  function sums(ref) { // of an array up to each value
    const key = Array.isArray(ref) ? ref : `sums ${ref.$}`;
    let total = 0;
    if (!decoded.has(key)) decoded.set(key, Float64Array.from(array(ref), (value) => (total += value)));
    return decoded.get(key);
  }

  const theme = () => book.themes[root.dataset.theme];

  function colour(token) {
    if (!token.startsWith("@")) return token;
    const [name, alpha] = token.slice(1).split("/");
    const found = theme()[name];
    if (alpha === undefined) return found;
    const rgb = [1, 3, 5].map((i) => parseInt(found.slice(i, i + 2), 16));
    return `rgba(${rgb.join(",")},${alpha})`;
  }

  function resolve(value, key) {
    if (typeof value === "string") return COLOURS.has(key) ? colour(value) : value;
    if (Array.isArray(value)) return value.map((one) => resolve(one, key));
    if (value === null || typeof value !== "object") return value;
    if ("$" in value) return array(value);
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, resolve(one, name)]));
  }

  function themed(layout, div) {
    const { ink, grid, muted, paper } = theme(), narrow = div.clientWidth < 600;
    const found = resolve(layout);
    for (const name of Object.keys(found).filter((one) => /^[xy]axis\d*$/.test(one))) {
      found[name] = { gridcolor: grid, zerolinecolor: grid, linecolor: grid, automargin: true, fixedrange: !div.dataset.trading && name[0] === "y", ...found[name] };
    }
    return {
      font: { family: "system-ui, sans-serif", size: 12, color: ink },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 50, r: 12, t: 12, b: 34 },
      hovermode: "closest",
      hoverlabel: { bgcolor: paper, bordercolor: muted, font: { color: ink } },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, traceorder: "normal", font: { size: narrow ? 10 : 12 } },
      dragmode: narrow ? false : "zoom",
      ...found,
    };
  }

  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

  // -- charts ---------------------------------------------------------------------------------------------------
  const choices = new Map([...document.querySelectorAll("select[data-choice]")].map((one) => [one.dataset.choice, one]));
  const keyOf = (by) => by.map((name) => choices.get(name).selectedIndex).join("/");

  function draw(div) {
    const chart = book.charts[div.dataset.chart];
    const found = chart.figures[keyOf(chart.by)];
    const alt = found ? found.alt : "Nothing to show here.";
    div.setAttribute("aria-label", alt);
    document.querySelector(`[data-alt="${div.dataset.chart}"]`).textContent = alt;
    div.classList.toggle("empty", !found);
    if (!found) {
      Plotly.purge(div);
      div.textContent = "Nothing to show here.";
      return;
    }
    if (div.textContent && !div.querySelector(".plot-container")) div.textContent = "";
    if (found.trading) return drawTrading(div, whole_(found.trading), div.range);
    const data = resolve(found.data);
    if (div.clientWidth < 600) for (const trace of data) if (trace.type === "heatmap") delete trace.texttemplate;
    if (chart.marks) emphasise(data, choices.get(chart.marks).selectedIndex);
    const named = data.filter((trace) => trace.showlegend !== false && trace.name).length;
    div.style.height = `${chart.height + (chart.marks && div.clientWidth < 600 ? 15 * named : 0)}px`; // of the legend
    Plotly.react(div, data, themed(found.layout, div), config);
    div.drawn = true;
  }

  function emphasise(data, chosen) { // the traces of the chosen option bold and with bands, all others thin
    for (const trace of data) {
      const isBand = trace.line.width === 0;
      if (trace.meta === chosen && !isBand) trace.line = { ...trace.line, width: 3.2, dash: "solid" };
      else if (trace.meta !== chosen && isBand) trace.visible = false;
      else if (!isBand) trace.line = { ...trace.line, width: 1.1 };
    }
    data.sort((a, b) => (a.meta === chosen) - (b.meta === chosen)); // on top
  }

  // -- the trading chart ----------------------------------------------------------------------------------------
  function first(values, x) { // first index with values[i] >= x
    let [low, high] = [0, values.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] < x) low = middle + 1; else high = middle;
    }
    return low;
  }

  const whole_ = (found) => (found.shared ? { ...book.shared[found.shared], ...found } : found);

  function window_(levels, range) { // the columns in view of the coarsest resolution that has enough points
    for (let i = levels.length - 1; i >= 0; i--) {
      const x = array(levels[i].columns.x);
      const from = Math.max(first(x, range[0]) - 1, 0), to = Math.min(first(x, range[1]) + 1, x.length);
      if (to - from < VISIBLE && i > 0) continue;
      const columns = Object.entries(levels[i].columns);
      return { bars: levels[i].bars, ...Object.fromEntries(columns.map(([name, one]) => [name, array(one).slice(from, to)])) };
    }
  }

  function tradesIn(found, range) {
    const { trades, market } = found;
    const entry = sums(trades.gap), held = array(trades.held), net = array(trades.net);
    const { bars, columns } = market[0], x = array(columns.x);
    const at = (bar) => x[Math.min(Math.floor(bar / bars), x.length - 1)];
    const side = trades.side && array(trades.side);
    const [broker, open] = ["broker", "open"].map((name) => new Set(trades[name] ? array(trades[name]) : []));
    const by = (i) => (broker.has(i) ? 1 : open.has(i) ? 2 : 0);
    const priced = (name, bar, i) => { // its own price, or the one at which the bar's orders fill; open positions at the close
      if (trades[name]) return array(trades[name])[i];
      const column = columns.fill && !(name === "exit_price" && open.has(i)) ? columns.fill : columns.close;
      return array(column)[Math.min(Math.floor(bar / bars), x.length - 1)];
    };
    const exit = (i) => entry[i] + held[i];
    const inView = [...entry.keys()].filter((i) => at(exit(i)) >= range[0] && at(entry[i]) <= range[1]);
    const largest = inView.length > BEAMS ? [...inView].sort((i, j) => Math.abs(net[j]) - Math.abs(net[i])).slice(0, BEAMS) : inView;
    const seen = columns.close ? largest.map((i) => ({ x0: at(entry[i]), x1: at(exit(i)), y0: priced("entry_price", entry[i], i), y1: priced("exit_price", exit(i), i), net: net[i], held: held[i], side: side ? side[i] : 1, by: by(i) })) : [];
    return { seen, count: inView.length, total: entry.length };
  }

  function beams(seen, form) {
    const label = (t) => [t.side > 0 ? "long" : "short", t.held, t.net];
    const hover = `%{customdata[0]}, %{customdata[1]} bars, net %{customdata[2]:${form}}<extra></extra>`;
    const beam = (name, chosen, token, dash) => ({
      type: "scatter", mode: "lines", name, line: { color: colour(token), width: 2, dash }, hovertemplate: hover,
      x: chosen.flatMap((t) => [t.x0, t.x1, null]), y: chosen.flatMap((t) => [t.y0, t.y1, null]),
      customdata: chosen.flatMap((t) => [label(t), label(t), null]),
    });
    const marks = (name, chosen, symbol, x, y) => ({
      type: "scatter", mode: "markers", name, hovertemplate: hover, customdata: chosen.map(label),
      marker: { symbol, size: 8, color: colour("@ink"), line: { color: colour("@paper"), width: 1 } },
      x: chosen.map((t) => t[x]), y: chosen.map((t) => t[y]),
    });
    const found = [
      beam("gain", seen.filter((t) => t.net >= 0), "@gain", "solid"),
      beam("loss", seen.filter((t) => t.net < 0), "@loss", "dot"),
      ...(seen.length > MARKED ? [] : [marks("long entry", seen.filter((t) => t.side > 0), "triangle-up", "x0", "y0"),
      marks("short entry", seen.filter((t) => t.side < 0), "triangle-down", "x0", "y0"),
      marks("exit", seen.filter((t) => t.by === 0), "circle-open", "x1", "y1"),
      marks("closed by the broker", seen.filter((t) => t.by === 1), "x", "x1", "y1")]),
    ];
    return found.filter((trace) => trace.x.length);
  }

  function priceTraces(m) {
    if (!m.close) return [];
    if (!m.open) return [{ type: "scatter", mode: "lines", name: "close", x: m.x, y: m.close, line: { color: colour("@muted"), width: 1.2 } }];
    const side = (token, fill) => ({ line: { color: colour(token), width: 1 }, fillcolor: colour(fill) });
    const name = m.bars > 1 ? `price, ${m.bars} bars a candle` : "price";
    return [{ type: "candlestick", name, x: m.x, open: m.open, high: m.high, low: m.low, close: m.close, increasing: side("@muted", "@paper"), decreasing: side("@muted", "@muted") }];
  }

  function accountTraces(a, names) {
    const line = (name, axis, token, more) => ({ type: "scatter", mode: "lines", name, showlegend: false, x: a.x, y: a[name], yaxis: axis, line: { color: colour(token), width: 1.3, ...more }, hovertemplate: name === "equity" ? "equity %{y:.3f}<extra></extra>" : `${name} %{y:.1%}<extra></extra>` });
    const fill = (trace, token) => ({ ...trace, fill: "tozeroy", fillcolor: colour(token) });
    const make = {
      equity: (axis) => line("equity", axis, "@strategy"),
      drawdown: (axis) => fill(line("drawdown", axis, "@loss"), "@loss/0.25"),
      exposure: (axis) => fill(line("exposure", axis, "@other", { shape: "vh" }), "@other/0.25"),
    };
    return names.map((name, i) => make[name](`y${i + 2}`));
  }

  function drawTrading(div, found, asked) {
    div.dataset.trading = "yes";
    const levels = found.market, ends = array(levels[levels.length - 1].columns.x);
    const whole = [ends[0], ends[ends.length - 1]].map(Number);
    whole[0] = Number(array(levels[0].columns.x)[0]);
    const range = asked ? [Math.max(asked[0], whole[0]), Math.min(asked[1], whole[1])] : whole;
    div.whole = whole;
    div.range = asked ? range : undefined;
    const market = window_(levels, range), account = window_(found.account, range);
    const prices = priceTraces(market);
    const names = ["equity", "drawdown", "exposure"].filter((name) => name in account);
    const { seen, count, total } = found.trades ? tradesIn(found, range) : { seen: [], count: 0, total: 0 };
    const data = [...prices, ...beams(seen, found.net), ...accountTraces(account, names)];
    const closes = [...(market.close || [])].filter((price) => price > 0); // one may be unknown
    const log = Math.max(...closes) > 10 * Math.min(...closes);
    const shapes = (found.borders || []).map((x) => ({ type: "line", yref: "paper", y0: 0, y1: 1, x0: x, x1: x, line: { color: "@muted", width: 1, dash: "dot" } }));
    const layout = { xaxis: { type: found.axis, range, rangeslider: { visible: false }, anchor: `y${names.length + 1}` }, shapes, ...panels(names, prices.length > 0, log, div.clientWidth < 600) };
    layout.margin = { l: 55, r: 12, t: 40, b: 30 };
    Plotly.react(div, data, themed(layout, div), config);
    const drawn = count === seen.length ? "" : prices.length ? `; the ${seen.length} largest are drawn, zoom in for all` : "; not drawn, since their prices are unknown";
    const shown = div.closest("figure").querySelector(".count");
    shown.textContent = found.trades ? `${count} of ${total} trades in view${drawn}` : "";
    if (!div.linked) div.on("plotly_relayout", (event) => relaid(div, event));
    div.linked = div.drawn = true;
  }

  function panels(names, priced, log, narrow) { // the y axes, from top to bottom
    const weights = [...(priced ? [["price", 5]] : []), ...names.map((name) => [name, name === "equity" ? 2 : 1.2])];
    const sum = weights.reduce((total, [, weight]) => total + weight, 0), gap = 0.02;
    const axes = {};
    let top = 1;
    for (const [name, weight] of weights) {
      const bottom = top - weight / sum;
      const key = name === "price" ? "yaxis" : `yaxis${names.indexOf(name) + 2}`;
      axes[key] = { domain: [Math.max(bottom + gap, 0), top], anchor: "x", title: { text: name, font: { size: narrow ? 10 : 12 } }, nticks: name === "price" ? 8 : 4 };
      if (name === "price" && log) Object.assign(axes[key], { type: "log", dtick: "D2", tickformat: ",.4~r" });
      if (name === "drawdown" || name === "exposure") axes[key].tickformat = ".0%";
      top = bottom;
    }
    if (!priced) axes.yaxis = { domain: [0, 0.001], visible: false };
    return axes;
  }

  const number = (x) => (typeof x === "number" ? x : Number.isNaN(Number(x)) ? Date.parse(`${String(x).replace(" ", "T")}Z`) : Number(x));

  function relaid(div, event) {
    const all = event["xaxis.autorange"];
    const ends = event["xaxis.range"] || [event["xaxis.range[0]"], event["xaxis.range[1]"]];
    if (!all && ends[0] === undefined) return;
    zoomTo(div, all ? undefined : ends.map(number));
  }

  function zoomTo(div, range) {
    const chart = book.charts[div.dataset.chart];
    drawTrading(div, whole_(chart.figures[keyOf(chart.by)].trading), range);
  }

  function zoom(div, how) {
    if (how === "all") return zoomTo(div, undefined);
    const [low, high] = div.range || div.whole, size = high - low, middle = (low + high) / 2;
    const moved = { in: [middle - size / 4, middle + size / 4], out: [middle - size, middle + size], left: [low - size / 2, high - size / 2], right: [low + size / 2, high + size / 2] }[how];
    const kept = moved[0] < div.whole[0] && how === "left" ? [div.whole[0], div.whole[0] + size] : moved[1] > div.whole[1] && how === "right" ? [div.whole[1] - size, div.whole[1]] : moved;
    zoomTo(div, kept[0] <= div.whole[0] && kept[1] >= div.whole[1] ? undefined : kept);
  }

  // -- tables ---------------------------------------------------------------------------------------------------
  function fillTable(table) {
    const found = book.tables[table.dataset.table], rows = found.rows[keyOf(found.by)] || [];
    const made = rows.map((row) => {
      const line = document.createElement("tr");
      row.forEach(([text, value], i) => {
        const cell = document.createElement(i ? "td" : "th");
        if (!i) cell.scope = "row";
        cell.textContent = text;
        if (value !== null) cell.dataset.value = value;
        line.append(cell);
      });
      return line;
    });
    table.tBodies[0].replaceChildren(...made);
  }

  function sortBy(button) {
    const heading = button.closest("th"), table = heading.closest("table"), body = table.tBodies[0];
    const down = heading.getAttribute("aria-sort") === "descending" || (heading.cellIndex === 0 && !heading.hasAttribute("aria-sort"));
    const value = (row) => {
      const cell = row.cells[heading.cellIndex];
      return heading.cellIndex && cell.dataset.value !== undefined ? Number(cell.dataset.value) : heading.cellIndex ? NaN : cell.textContent;
    };
    const order = (a, b) => {
      const [one, other] = [value(a), value(b)];
      return typeof one === "string" ? one.localeCompare(other) : one === other ? 0 : one - other;
    };
    const known = (row) => !Number.isNaN(value(row));
    const rows = [...body.rows], last = rows.filter((row) => !known(row));
    const sorted = rows.filter(known).sort(order);
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "ascending" : "descending");
    body.append(...(down ? sorted : sorted.reverse()), ...last);
  }

  // -- the page -------------------------------------------------------------------------------------------------
  const charts = [...document.querySelectorAll("[data-chart]")];
  const keyed = [...document.querySelectorAll("table[data-table]")].filter((table) => table.dataset.table in book.tables);

  function setTheme(name, keep) {
    root.dataset.theme = name;
    const button = document.getElementById("theme");
    button.textContent = name === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-pressed", String(name === "dark"));
    if (keep) try { localStorage.setItem("theme", name); } catch { /* a page of files may not keep anything */ }
    charts.filter((div) => div.drawn).forEach(draw);
  }

  function preferred() {
    let kept = null;
    try { kept = localStorage.getItem("theme"); } catch { /* as above */ }
    return kept in book.themes ? kept : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }

  function limit(name) { // offers as many options as the other choice has
    for (const [own, { of, counts }] of Object.entries(book.choices).filter(([, one]) => one.of === name)) {
      const select = choices.get(own), count = counts[choices.get(of).selectedIndex];
      [...select.options].forEach((option, i) => { option.hidden = option.disabled = i >= count; });
      if (select.selectedIndex >= count) { select.selectedIndex = 0; chosen(own); }
    }
  }

  function chosen(name) {
    keyed.filter((table) => book.tables[table.dataset.table].by.includes(name)).forEach(fillTable);
    for (const div of charts) {
      const { by, marks } = book.charts[div.dataset.chart];
      if (div.seen && (by.includes(name) || marks === name)) draw(div);
    }
  }

  setTheme(preferred(), false);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(preferred(), false));
  document.getElementById("theme").addEventListener("click", () => setTheme(root.dataset.theme === "dark" ? "light" : "dark", true));
  choices.forEach((_, name) => limit(name));
  keyed.forEach(fillTable);
  choices.forEach((select, name) => select.addEventListener("change", () => { limit(name); chosen(name); }));
  document.querySelectorAll("table.sortable th button").forEach((button) => button.addEventListener("click", () => sortBy(button)));
  document.querySelectorAll("[data-zoom]").forEach((button) => {
    button.addEventListener("click", () => zoom(button.closest("figure").querySelector(".chart"), button.dataset.zoom));
  });
  const see = (div) => { if (!div.seen) { div.seen = true; draw(div); } };
  const watcher = new IntersectionObserver((entries) => entries.filter((one) => one.isIntersecting).forEach((one) => see(one.target)), { rootMargin: "500px" });
  charts.forEach((div) => watcher.observe(div));
  const waiting = [...charts], idle = window.requestIdleCallback || ((call) => setTimeout(call, 200));
  const next = () => { if (waiting.length) { see(waiting.shift()); idle(next); } };  // one after another, so that the page stays quick
  idle(next);
  let before = { theme: root.dataset.theme, folded: [] };
  addEventListener("beforeprint", () => { // on white, with every chart and every definition
    before = { theme: root.dataset.theme, folded: [...document.querySelectorAll("details:not([open])")] };
    before.folded.forEach((one) => { one.open = true; });
    setTheme("light", false);
    charts.forEach(see);
  });
  addEventListener("afterprint", () => {
    before.folded.forEach((one) => { one.open = false; });
    setTheme(before.theme, false);
  });
})();
