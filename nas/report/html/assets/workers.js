// The timeline of the workers, their idle times, and the failures.

const BAR = 22;
const LABELLED = 38;
const REASONS = 20;

function workersOf(run, id) {
  const title = "Worker timeline";
  const { timeline } = run;
  if (!timeline?.workers.length) return empty(id, title, run.missing.timeline ?? "No evaluation has ended yet.");
  const total = (value) => timeline.workers.reduce((sum, each) => sum + value(each), 0);
  const [busy, failed] = [total((each) => each.busy_seconds), total((each) => each.failed)];
  // idle time follows from idle = free / (busy + free); the floor keeps a worker that was 100 % idle from dividing by zero
  const free = total((each) => (each.busy_seconds * each.idle_percent) / Math.max(1e-9, 100 - each.idle_percent));
  const drawn = chart("Timeline of the evaluations of each worker", (c) => workersOption(run, c));
  drawn.style.height = `${Math.min(900, 62 + BAR * timeline.workers.length)}px`;
  const reading = [
    `${workersAtOnce(timeline)}, idle ${((100 * free) / Math.max(1e-9, busy + free)).toFixed(1)} %`,
    ` of the time; ${count(failed, "failure")}.`,
    timeline.waited_seconds ? ` On average a proposal waited ${duration(timeline.waited_seconds)} for a worker.` : "",
    timeline.pauses.length ? ` The run was interrupted ${count(timeline.pauses.length, "time")}.` : "",
  ].join("");
  const tables = h("div", { class: "columns" }, workerTable(timeline), failureTable(run));
  return section(
    id,
    title,
    reading,
    drawn,
    legend((c) => keysOf(timeline, c)),
    tables,
  );
}

/** Return the number of workers. A run that was resumed, or lost a worker, had more in total than at the same time. */
function workersAtOnce({ workers, at_once: atOnce }) {
  const all = workers.length;
  return atOnce < all ? `${count(atOnce, "worker")} at a time, ${plain(all)} in total` : count(all, "worker");
}

function keysOf(timeline, c) {
  const keys = timeline.phases.map((phase, i) => [phase, phaseColour(i, c), "box"]);
  if (timeline.failed.some(Boolean)) keys.push(["with a failure (also marked above)", c.bad, "box"]);
  return timeline.pauses.length ? [...keys, ["the run was stopped", c.line, "box"]] : keys;
}

/** Return the colour of a phase. */
const phaseColour = (i, c) => readable(DATA.hues[[2, 5, 0][i % 3]], c, 2.5);

function workerTable({ workers }) {
  const row = (each) => [each.name || "(unnamed)", plain(each.done), plain(each.failed), duration(each.busy_seconds)];
  const rows = workers.map((each) => [...row(each), meter(each.idle_percent)]);
  const body = table(["worker", "done", "failed", "busy", "idle"], rows);
  return h("div", {}, h("h3", {}, "By worker"), h("div", { class: "line" }, body));
}

/** Make the table of the reasons of failures, the most frequent first: all of the search, the last ones of other phases. */
function failureTable(run) {
  const all = run.evaluations;
  const numbers = (all?.failure ?? []).map((_, i) => i).filter((i) => all.failure[i] >= 0);
  const searched = numbers.map((i) => [all.failures[all.failure[i]], `#${i}`]);
  const others = run.timeline.failures
    .filter(({ phase }) => phase !== "search")
    .map(({ phase, number, reason }) => [reason, `${phase} #${number}`]);
  const groups = [...Map.groupBy([...searched, ...others], ([reason]) => reason)];
  const some = (works) =>
    works
      .slice(0, 6)
      .map(([, name]) => name)
      .join(" ") + (works.length > 6 ? " …" : "");
  const rows = groups
    .sort((a, b) => b[1].length - a[1].length)
    .slice(0, REASONS)
    .map(([reason, works]) => [plain(works.length), reasonOf(reason, some(works))]);
  const body = rows.length ? table(["count", "reason"], rows) : h("p", { class: "empty" }, "None.");
  const more = groups.length - REASONS;
  const note = more > 0 ? h("p", { class: "reading" }, `${count(more, "less frequent reason")} not shown.`) : null;
  return h("div", {}, h("h3", {}, "Failures"), body, note);
}

/** Make the text of a reason, shortened: the table of all evaluations has the full text. */
function reasonOf(text, which = "") {
  return h("span", { class: "reason" }, text.length > 400 ? `${text.slice(0, 400)}…` : text, h("small", {}, which));
}

function workersOption(run, c) {
  const { timeline } = run;
  const names = timeline.workers.map(({ name }) => (name.length > 16 ? `…${name.slice(-15)}` : name));
  const letters = Math.max(...names.map((name) => name.length));
  // "weakFilter" keeps a bar that is partly in view; Ctrl is needed, so that the wheel alone still scrolls the page
  const zoom = { type: "inside", filterMode: "weakFilter", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false };
  const most = timeline.end.reduce((a, b) => Math.max(a, b), 0);
  return base(c, {
    grid: { left: 24 + letters * 7, top: 6, bottom: 42, right: 22 },
    xAxis: axis(c, "time since the start", { min: 0, max: most, scale: false, axisLabel: { formatter: duration } }),
    yAxis: {
      ...axis(c, "", { side: "y", axisLabel: { interval: names.length > LABELLED ? "auto" : 0 } }),
      type: "category",
      inverse: true,
      data: names,
      splitLine: { show: false },
    },
    tooltip: tooltip(c, { trigger: "item", formatter: ({ data }) => barTip(run, data[3]) }),
    dataZoom: matchMedia("(hover: hover)").matches ? [zoom] : [], // on a touch screen it would catch the scrolling finger
    series: [pausesOf(timeline, c), barsOf(timeline, c)],
  });
}

/** Return the pauses, in which the run was stopped, as grey columns. */
function pausesOf(timeline, c) {
  const renderItem = ({ coordSys }, api) => {
    const [from, to] = [0, 1].map((i) => api.coord([api.value(i), 0])[0]);
    const x = Math.max(coordSys.x, from);
    const width = Math.max(1, Math.min(coordSys.x + coordSys.width, to) - x);
    return { type: "rect", shape: { x, y: coordSys.y, width, height: coordSys.height }, style: { fill: c.line } };
  };
  return { type: "custom", silent: true, data: timeline.pauses, encode: { x: [0, 1], y: -1 }, renderItem };
}

/** Return the evaluations as bars; a failure is marked by its colour and a tick above, so not by colour alone. */
function barsOf(timeline, c) {
  const tints = timeline.phases.map((_, i) => phaseColour(i, c));
  const renderItem = (_, api) => {
    const i = api.value(3);
    const [[from, middle], [to]] = [api.coord([api.value(0), api.value(2)]), api.coord([api.value(1), api.value(2)])];
    const height = Math.max(1, 0.72 * api.size([0, 1])[1]);
    const y = middle - height / 2;
    const width = Math.max(0.7, to - from - (to - from > 3 ? 0.6 : 0)); // neighbours stay apart
    const isFailed = timeline.failed[i] > 0;
    const style = { fill: isFailed ? c.bad : tints[timeline.phase[i]], opacity: timeline.works[i] > 1 ? 0.85 : 1 };
    const bar = { type: "rect", shape: { x: from, y, width, height }, style };
    const mark = {
      type: "rect",
      shape: { x: from, y: y - 3, width: Math.max(3, width), height: 3 },
      style: { fill: c.ink },
    };
    return { type: "group", children: isFailed && height > 8 ? [bar, mark] : [bar] };
  };
  const data = timeline.begin.map((begin, i) => [begin, timeline.end[i], timeline.worker[i], i]);
  return { type: "custom", data, encode: { x: [0, 1], y: 2 }, clip: true, renderItem };
}

function barTip(run, i) {
  const { timeline } = run;
  const [works, failed, first] = [timeline.works[i], timeline.failed[i], timeline.first[i]];
  const what = works > 1 ? `${plain(works)} evaluations from #${first}` : `#${first}`;
  return tip([
    `${timeline.phases[timeline.phase[i]]} ${what}`,
    timeline.workers[timeline.worker[i]].name,
    `${duration(timeline.begin[i])} to ${duration(timeline.end[i])}: ${duration(timeline.end[i] - timeline.begin[i])}`,
    failed ? `${count(failed, "failure")}` : "",
  ]);
}
