// The best so far against evaluations or seconds, with the random search baseline, for one run or several.

const DOTS = 3000;

/** Return the colour and dash of the i-th run. */
const runLook = (i) => (c) => ({
  colour: readable(DATA.hues[i % DATA.hues.length], c),
  dash: i >= DATA.hues.length ? [6, 3] : "solid",
});

/** Return the value of a step function at x, by binary search; null left of its first step. */
function stepAt(xs, values, x) {
  let low = -1;
  for (let high = xs.length; high - low > 1;) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle;
    else high = middle;
  }
  return low < 0 ? null : values[low];
}

/** Make the section of one run. */
function progressOf(run, id) {
  const title = `Best ${nameOf(run.head.objective)} so far`;
  if (!run.curve?.best.length) return empty(id, title, run.missing.curve ?? "Nothing has been scored yet.");
  if (run.curve.evaluations.at(-1) < 2)
    return empty(id, title, `One evaluation: ${score(run.head.objective, run.curve.best[0])}.`);
  const notes = run.curve.baseline
    ? run.curve.baseline.how
    : (run.missing.baseline ?? "There is no random search baseline.");
  return section(id, title, readProgress(run), anytime([run]), h("p", { class: "reading" }, sentence(notes)));
}

/** Sum up a run in a sentence: its best, and the expected best of random search after as many evaluations. */
function readProgress(run) {
  const { curve, head } = run;
  const [evaluations, best] = [curve.evaluations.at(-1), curve.best.at(-1)];
  const at = curve.evaluations[curve.best.indexOf(best)];
  const say = (value) => score(head.objective, value);
  const text = `After ${count(evaluations, "evaluation")} the best is ${say(best)}, found after ${plain(at)}`;
  const random = curve.baseline?.by_evaluations;
  if (!random?.x.length) return `${text}.`;
  // a baseline estimated from N draws ends at N, so compare where both are known
  const until = Math.min(evaluations, random.x.at(-1));
  const mean = say(stepAt(random.x, random.mean, until));
  if (until === evaluations) return `${text}; random search is expected at ${mean}.`;
  const then = say(stepAt(curve.evaluations, curve.best, until));
  return `${text}. The baseline ends at ${plain(until)}: random search is expected at ${mean} there, and this run was at ${then}.`;
}

/** Make the chart of runs with the same objective: switches, curves and a legend. */
function anytime(runs) {
  const most = Math.max(...runs.map((run) => run.curve.evaluations.at(-1)));
  const shown = { by: "evaluations", scale: most >= 2000 ? "log" : "value", whole: false };
  const label = `The best ${nameOf(runs[0].head.objective)} so far of ${runs.map((run) => run.head.name).join(", ")}`;
  const drawn = chart(label, (c) => anytimeOption(runs, shown, c));
  const change = (key) => (value) => {
    shown[key] = value;
    drawn.redraw();
  };
  const clocks = [
    ["evaluations", "evaluations"],
    ["seconds", "seconds"],
  ];
  const scales = [
    ["linear", "value"],
    ["logarithmic", "log"],
  ];
  const switches = [choice("Against", clocks, change("by")), choice("Scale", scales, change("scale"), shown.scale)];
  return h(
    "div",
    {},
    h("div", { class: "controls" }, switches),
    drawn,
    legend((c) => anytimeKeys(runs, c)),
    leftOut(shown, () => outsideOf(runs), drawn.redraw),
    isThinned(runs),
  );
}

/** Return what the first view leaves out: evaluations or, where several runs are compared, beginnings of curves. */
function outsideOf(runs) {
  const objective = runs[0].head.objective;
  const limits = rangeOf(runs, false);
  if (runs.length === 1) return beyond(objective, scoresOf(runs[0]), limits, "evaluation");
  return beyond(objective, runs.map((run) => run.curve.best[0]), limits, "beginning of a curve").replace(
    "beginning of a curves",
    "beginnings of curves",
  );
}

/** Make the note that only some of very many evaluations are drawn as dots. */
function isThinned(runs) {
  const every = Math.ceil(scoresOf(runs[0]).length / DOTS);
  return runs.length === 1 && every > 1 ? h("p", { class: "reading" }, `One evaluation in ${every} is drawn as a dot.`) : null;
}

function anytimeKeys(runs, c) {
  const isAlone = runs.length === 1;
  const own = [
    ["best so far", c.accent],
    ["one evaluation", c.pale, "dot"],
  ];
  const keys = isAlone ? own : runs.map((run, i) => [run.head.name, runLook(i)(c).colour, svgDash(runLook(i)(c).dash)]);
  const random = isAlone ? "random search: mean, 10th to 90th percentile" : "random search, in the colour of its run";
  return runs.some((run) => run.curve.baseline) ? [...keys, [random, c.soft, "3 3"]] : keys;
}

function anytimeOption(runs, shown, c) {
  const objective = runs[0].head.objective;
  const isAlone = runs.length === 1;
  const look = (i) => (isAlone ? { colour: c.accent } : runLook(i)(c));
  const series = runs.flatMap((run, i) => curvesOf(run, shown, look(i), isAlone, c));
  const bySeconds = shown.by === "seconds";
  const name = !bySeconds
    ? "evaluations"
    : `${runs.some((run) => run.curve.clock === "simulated") ? "simulated " : ""}time`;
  return base(c, {
    xAxis: axis(c, name, {
      type: shown.scale,
      min: shown.scale === "log" ? "dataMin" : 0,
      max: "dataMax",
      scale: false,
      minInterval: bySeconds ? 0 : 1,
      axisLabel: { formatter: bySeconds ? duration : short },
    }),
    yAxis: axis(c, words(objective), { side: "y", ...rangeOf(runs, shown.whole), axisLabel: { formatter: tick } }),
    series,
    tooltip: tooltip(c, { trigger: "axis", formatter: (points) => anytimeTip(runs, shown, points[0].axisValue) }),
  });
}

/**
 * Return the limits of the score axis. Unless `isWhole`, they leave out scores that are worse than the median, the second value
 * of the best so far, and the mean of random search: a few bad scores would flatten the curves.
 */
function rangeOf(runs, isWhole) {
  const seen = runs.flatMap((run) => {
    const values = scoresOf(run)
      .filter((value) => value != null)
      .sort((a, b) => sign(run) * (a - b));
    const { baseline, best } = run.curve;
    return [
      values[values.length >> 1] ?? best[0],
      best.at(-1),
      best[Math.min(1, best.length - 1)],
      ...(baseline ? [baseline.by_evaluations.mean.at(-1)] : []),
    ];
  });
  const all = runs.flatMap((run) => [...scoresOf(run).filter((value) => value != null), run.curve.best[0]]);
  return limitsOf(runs[0].head.objective, all, seen, isWhole);
}

const scoresOf = (run) => run.evaluations?.scores[run.head.objective] ?? [];

/** Return the series of one run: its curve, the baseline and, where it is the only run, a dot per evaluation. */
function curvesOf(run, shown, { colour, dash }, isAlone, c) {
  const { curve } = run;
  const xs = curve[shown.by];
  const fits = (x) => (shown.scale !== "log" || x > 0) && x <= xs.at(-1) * 1.0001;
  const steps = xs.map((x, i) => [x, curve.best[i]]).filter(([x]) => fits(x));
  const own = stepLine(run.head.name, steps, colour, { z: 5, lineStyle: { type: dash ?? "solid", width: 2.2 } });
  // simulated seconds are summed, so they are no times at which evaluations ended
  const hasDots = isAlone && !(shown.by === "seconds" && curve.clock === "simulated");
  return [
    own,
    ...randomOf(run, shown, fits, isAlone ? c.soft : colour, isAlone),
    hasDots ? dotsOf(run, shown, fits, c) : [],
  ].flat();
}

/** Return the series of random search: its mean and, for a single run, the band of its percentiles. */
function randomOf(run, shown, fits, colour, hasBand) {
  const random = bandOf(run, shown);
  if (!random?.x.length) return [];
  const kept = random.x.map((_, i) => i).filter((i) => fits(random.x[i]));
  const [x, low, high] = [random.x, random.low, random.high].map((values) => kept.map((i) => values[i]));
  const points = kept.map((i) => [random.x[i], random.mean[i]]);
  const mean = line("random search", points, colour, { z: 4, lineStyle: { type: [3, 3], width: 1.6 } });
  return hasBand ? [...band("random", x, low, high, colour), mean] : [mean];
}

const bandOf = (run, shown) => run.curve.baseline?.[shown.by === "seconds" ? "by_seconds" : "by_evaluations"];

function dotsOf(run, shown, fits, c) {
  const all = run.evaluations;
  const values = scoresOf(run);
  const every = Math.max(1, Math.ceil(values.length / DOTS));
  const x = (i) => (shown.by === "seconds" ? all.ended[i] : all.order[i] + 1);
  const points = values
    .map((value, i) => [x(i), value])
    .filter(([at, value], i) => value != null && at != null && fits(at) && i % every === 0);
  return {
    type: "scatter",
    data: points,
    symbolSize: 4,
    silent: true,
    itemStyle: { color: faint(c.pale, 0.6) },
    z: 2,
    tooltip: { show: false },
  };
}

function anytimeTip(runs, shown, x) {
  const at = shown.by === "seconds" ? `after ${duration(x)}` : `after ${count(Math.round(x), "evaluation")}`;
  const rows = runs.flatMap((run) => {
    const { curve, head } = run;
    const best = stepAt(curve[shown.by], curve.best, x);
    const number = stepAt(curve[shown.by], curve.number, x);
    const random = bandOf(run, shown);
    const mean = random && stepAt(random.x, random.mean, x);
    const name = runs.length > 1 ? `${head.name}:` : "best";
    return [
      `${name} ${score(head.objective, best)}${number == null ? "" : ` (evaluation ${number})`}`,
      mean == null ? "" : `random search ${score(head.objective, mean)}`,
    ];
  });
  return tip([at, ...rows]);
}
