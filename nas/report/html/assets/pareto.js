// The Pareto front: the objective against a cost.

function frontOf(run, id) {
  const title = `${capital(nameOf(run.head.objective))} against cost`;
  const fronts = run.fronts.filter((front) => front.number.length);
  if (!fronts.length) return empty(id, title, run.missing.fronts ?? "No scores are named macs or params.");
  if (fronts[0].number.length < 2) return empty(id, title, "One architecture has been scored, so there is no front.");
  const shown = { front: fronts[0], whole: false };
  const reading = h("p", { class: "reading" });
  const list = h("div", {});
  const label = `${title}: every architecture, and the Pareto front`;
  const listen = (plot) => plot.on("click", ({ data }) => data?.at != null && say(data.at));
  const drawn = chart(label, (c) => frontOption(run, shown, c), "", listen);
  const chosen = h("p", { class: "chosen-row mono", "aria-live": "polite" });
  const say = (i) => (chosen.textContent = `#${shown.front.number[i]}: ${textOf(run, shown.front.number[i])}`);
  const show = (front) => {
    shown.front = front;
    reading.textContent = readFront(run, front);
    list.replaceChildren(frontTable(run, front));
    chosen.textContent = "";
    outside.update();
    drawn.redraw();
  };
  const worst = () => beyond(run.head.objective, shown.front.value, rangeOfFront(run, shown.front, false), "architecture");
  const outside = leftOut(shown, worst, () => drawn.redraw());
  const options = fronts.map((front) => [words(front.cost), front]);
  const switches = fronts.length > 1 ? h("div", { class: "controls" }, choice("Cost", options, show)) : null;
  const element = section(
    id,
    title,
    "",
    reading,
    switches,
    drawn,
    legend((c) => [
      ["on the Pareto front: no architecture of the same or lower cost is better", c.accent, "dot"],
      ["other architectures", c.pale, "dot"],
    ]),
    outside,
    chosen,
    list,
  );
  show(fronts[0]);
  return element;
}

const textOf = (run, number) => run.evaluations?.texts[run.evaluations.architecture[number]] ?? "";
const members = (front) => front.number.map((_, i) => i).filter((i) => front.on_front[i]);

function readFront(run, front) {
  const on = members(front);
  const [name, ends] = [words(front.cost), [on[0], on.at(-1)]];
  const [cheapest, best] = ends.map(
    (i) => `${short(front.costs[i])} ${name} at ${score(run.head.objective, front.value[i])}`,
  );
  const from = on.length > 1 ? `: from ${cheapest} to ${best}` : "";
  const all = count(front.number.length, "architecture");
  const of = run.best?.size_of ? `; costs are those of ${run.best.size_of}` : "";
  return `${plain(on.length)} of ${all} ${on.length === 1 ? "is" : "are"} on the front${from}${of}. ${front.note}`.trim();
}

function frontTable(run, front) {
  const rows = members(front).map((i) => [
    `#${front.number[i]}`,
    short(front.costs[i]),
    score(run.head.objective, front.value[i]),
    h("span", { class: "mono" }, textOf(run, front.number[i])),
  ]);
  const body = table(["", words(front.cost), words(run.head.objective), "architecture"], rows);
  return h("details", { class: "more" }, h("summary", {}, `The ${plain(rows.length)} architectures on the front`), body);
}

function frontOption(run, shown, c) {
  const { front } = shown;
  const on = new Set(members(front));
  const point = (i) => ({ value: [front.costs[i], front.value[i]], at: i });
  const all = front.number.map((_, i) => i);
  // costs are sorted; beyond a factor of 30 small ones would be indistinguishable on a linear axis
  const isWide = front.costs.at(-1) / front.costs[0] > 30 && front.costs[0] > 0;
  const worst = front.costs.at(-1);
  const steps = [...on].map((i) => [front.costs[i], front.value[i]]);
  return base(c, {
    grid: { right: 30 },
    xAxis: axis(c, words(front.cost), { type: isWide ? "log" : "value", axisLabel: { formatter: short } }),
    yAxis: axis(c, words(run.head.objective), {
      side: "y",
      ...rangeOfFront(run, front, shown.whole),
      axisLabel: { formatter: tick },
    }),
    tooltip: tooltip(c, { trigger: "item", formatter: ({ data }) => frontTip(run, front, data?.at) }),
    series: [
      {
        type: "scatter",
        data: all.filter((i) => !on.has(i)).map(point),
        symbolSize: all.length > 1000 ? 5 : 7,
        z: 2,
        itemStyle: { color: faint(c.pale, 0.65) },
        progressive: 4000,
      },
      stepLine("front", [...steps, [worst, steps.at(-1)[1]]], c.accent, {
        silent: true,
        z: 3,
        showSymbol: false,
        lineStyle: { width: 1.5, type: [5, 3] },
      }),
      {
        type: "scatter",
        data: [...on].map(point),
        symbolSize: 11,
        z: 4,
        itemStyle: { color: c.accent, borderColor: c.surface, borderWidth: 1 },
      },
    ],
  });
}

function frontTip(run, front, i) {
  if (i == null) return "";
  const facts = `${score(run.head.objective, front.value[i])}, ${short(front.costs[i])} ${words(front.cost)}`;
  return tip([`#${front.number[i]}: ${facts}`], textOf(run, front.number[i]));
}

/** Return the limits of the score axis: for the front and all but the worst tenth or, if `isWhole`, for all. */
function rangeOfFront(run, front, isWhole) {
  const steps = members(front).map((i) => [front.costs[i], front.value[i]]);
  const values = [...front.value].sort((a, b) => a - b);
  const cut = Math.floor(values.length / 10);
  // with growing cost the front rises where the objective is maximised, and falls where it is minimised
  const isRising = steps.length < 2 || steps.at(-1)[1] >= steps[0][1];
  const seen = [
    ...steps.map(([, value]) => value),
    isRising ? values[cut] : values.at(-1 - cut),
    isRising ? values.at(-1) : values[0],
  ];
  return limitsOf(run.head.objective, front.value, seen, isWhole);
}
