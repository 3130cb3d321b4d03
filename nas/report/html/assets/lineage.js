// The family tree of the best: its ancestors, and the decisions that each changed.

/** The maximum number of ancestors in a summary, as in ancestry.py. */
const NEAREST = 300;

function lineageOf(run, id) {
  const title = "Family tree of the best";
  const { ancestors } = run;
  if (!ancestors.length) return empty(id, title, run.missing.ancestors ?? "Nothing has been scored yet.");
  const sorted = [...ancestors].sort((a, b) => a.number - b.number);
  const winner = sorted.find((each) => each.number === run.best?.number) ?? sorted.at(-1);
  const changes = sorted.reduce((sum, each) => sum + each.changes.length, 0);
  const first = sorted[0];
  const items = [...sorted].reverse().map((each) => stepOf(run, each, winner, sorted));
  const list = h("ol", { class: "line", tabindex: "0", reversed: true }, items);
  const alone = `Evaluation ${winner.number} has no parents: it was proposed as ${winner.origin}.`;
  if (sorted.length === 1) return section(id, title, alone, list);
  const [steps, changed] = [count(sorted.length - 1, "step"), count(changes, "changed decision")];
  const nearest = sorted.length >= NEAREST ? ` Only the nearest ${NEAREST} ancestors are shown.` : "";
  const say = (each) => `${each.number} (${each.origin}, ${score(run.head.objective, each.value)})`;
  const reading = `${say(winner)} descends from ${say(first)} by ${steps} and ${changed}.${nearest}`;
  const label = `The ancestors of evaluation ${winner.number}, by number and ${words(run.head.objective)}`;
  const shown = { whole: false };
  const picture = chart(label, (c) => lineageOption(run, sorted, winner, shown, c));
  const others = scoresOf(run).slice(0, winner.number);
  const outside = () => beyond(run.head.objective, others, lineageRange(run, sorted, others, false), "evaluation");
  const note = leftOut(shown, outside, picture.redraw);
  const key = legend((c) => [
    ["the best and its ancestors, with lines from parent to child", c.accent, "dot"],
    ["other evaluations up to the best", c.pale, "dot"],
  ]);
  return section(id, title, `Evaluation ${reading}`, h("div", { class: "columns" }, h("div", {}, picture, key, note), list));
}

/** Make the list item of an ancestor. */
function stepOf(run, each, winner, all) {
  const from = each.parents.length ? ` from ${each.parents.map((number) => `#${number}`).join(" and ")}` : "";
  const parent = all.find((other) => other.number === each.parents[0]);
  const gain = parent && parent.value != null && each.value != null ? gainOf(run, each.value - parent.value) : null;
  return h(
    "li",
    { class: each === winner ? "winner" : "" },
    h("strong", {}, `#${each.number} `),
    `${score(run.head.objective, each.value)} · ${each.origin}${from}`,
    gain,
    each.children ? ` · ${each.children === 1 ? "1 child" : `${each.children} children`}` : "",
    each.changes.map(({ choice: name, before, after }) =>
      h("div", { class: "change" }, `${name}: ${before || "(not open)"} → ${after || "(not open)"}`),
    ),
  );
}

/** Return how much better or worse a child is than its first parent. */
function gainOf(run, change) {
  const size = run.head.objective.includes("percent") ? Math.abs(change).toFixed(2) : plain(Math.abs(change));
  if (Number(size) === 0) return " = equal";
  return change * sign(run) > 0
    ? h("span", { class: "up" }, ` ▲ better by ${size}`)
    : h("span", { class: "down" }, ` ▼ worse by ${size}`);
}

/** Return the limits of the score axis: of the ancestors or, if `isWhole`, of all evaluations up to the best. */
function lineageRange(run, sorted, others, isWhole) {
  const reached = sorted.map(({ value }) => value).filter((value) => value != null);
  return limitsOf(run.head.objective, others.filter((value) => value != null), reached, isWhole);
}

function lineageOption(run, sorted, winner, shown, c) {
  const objective = run.head.objective;
  const known = new Map(sorted.filter((each) => each.value != null).map((each) => [each.number, each]));
  const edges = sorted.flatMap((each) =>
    each.parents
      .filter((parent) => known.has(parent) && known.has(each.number))
      .map((parent) => [
        [parent, known.get(parent).value],
        [each.number, each.value],
      ]),
  );
  const limits = lineageRange(run, sorted, scoresOf(run).slice(0, winner.number), shown.whole);
  const values = scoresOf(run);
  const every = Math.max(1, Math.ceil(winner.number / DOTS));
  const others = values
    .slice(0, winner.number)
    .flatMap((value, i) => (value != null && i % every === 0 ? [[i, value]] : []));
  const points = [...known.values()].map((each) => ({
    value: [each.number, each.value],
    symbolSize: each === winner ? 14 : 9,
    each,
  }));
  return base(c, {
    xAxis: axis(c, "number of the evaluation", {
      min: 0,
      max: Math.max(winner.number, 1),
      scale: false,
      minInterval: 1,
      axisLabel: { formatter: short },
    }),
    yAxis: axis(c, words(objective), { side: "y", ...limits, axisLabel: { formatter: tick } }),
    tooltip: tooltip(c, {
      trigger: "item",
      formatter: ({ data }) =>
        tip([
          `#${data.each.number}: ${score(objective, data.each.value)}`,
          data.each.origin,
          ...data.each.changes
            .slice(0, 8)
            .map((change) => `${change.choice}: ${change.before || "–"} → ${change.after || "–"}`),
        ]),
    }),
    series: [
      {
        type: "scatter",
        data: others,
        symbolSize: 3.5,
        silent: true,
        itemStyle: { color: faint(c.pale, 0.55) },
        tooltip: { show: false },
      },
      // One series for all edges, broken by gaps: a series per edge would be slow.
      {
        ...line(
          "edges",
          edges.flatMap(([a, b]) => [a, b, [null, null]]),
          c.accent,
          { silent: true, z: 3 },
        ),
        connectNulls: false,
      },
      { type: "scatter", data: points, z: 4, itemStyle: { color: c.accent, borderColor: c.surface, borderWidth: 1.5 } },
    ],
  });
}
