// The comparison of several runs: a table, and the curves of those with the same objective.

const COMPARING =
  "Names link to the runs. For a search, “best” is the score of its search network, “test” that of its final network.";

function comparison(runs) {
  const searches = runs.filter((run) => run.curve?.best.length);
  const groups = [...Map.groupBy(searches, (run) => `${sign(run)} ${run.head.objective}`).values()];
  const curves = groups.filter((group) => group.length > 1).map(comparedCurves);
  const why = "No two of these runs are searches with the same objective, so there are no curves to compare.";
  const table = section("table", "Comparison of the runs", COMPARING, comparisonTable(runs));
  return [table, ...(curves.length ? curves : [empty("curves0", "Best so far", why)])];
}

function comparedCurves(group, i) {
  const { objective } = group[0].head;
  const last = (run) => run.curve.best.at(-1);
  const ranked = [...group].sort((a, b) => sign(a) * (last(b) - last(a)));
  const spent = (run) => count(run.curve.evaluations.at(-1), "evaluation");
  const say = (run) => `${run.head.name}, ${score(objective, last(run))} after ${spent(run)}`;
  const scorers = new Set(group.map(({ head }) => `${head.evaluator || "a supernet"} ${head.settings.data ?? ""}`.trim()));
  // scores of different evaluators or data are drawn in one chart, but are not the same quantity
  const unlike = scorers.size > 1 ? ` These runs score differently: ${[...scorers].join("; ")}.` : "";
  const reading = `Best: ${say(ranked[0])}; last: ${say(ranked.at(-1))}.${unlike}`;
  return section(`curves${i}`, `Best ${nameOf(objective)} so far`, reading, anytime(group));
}

const COMPARED = [
  "run",
  "state",
  "best",
  "search network",
  "test",
  "final network",
  "evaluations",
  "failed",
  "time",
  "seed",
  "space",
  "strategy",
];

function comparisonTable(runs) {
  const objectives = new Set(runs.map((run) => run.head.objective));
  const name = objectives.size === 1 ? ` ${nameOf(runs[0].head.objective)}` : "";
  const columns = COMPARED.map((each) => (each === "best" ? `best${name}` : each));
  return table(
    columns,
    runs.map((run, i) => comparedRow(run, i, !name)),
  );
}

/** Return the size of the tested network: the final one of a search, or the one that was trained or transferred. */
function finalSize(head, best, finals) {
  if (head.kind !== "search") return sizeOf(best?.params, best?.macs);
  const own = (cost) => finals?.scores[cost]?.[finals.roles.indexOf("best")];
  return sizeOf(own("params"), own("macs"));
}

function comparedRow({ head, best, costs, finals, tests, trials }, i, isNamed) {
  const trial = trials && bestTrial(trials)?.mean;
  const value = score(head.objective, trial ?? best?.scores[head.objective]);
  const tested = trial ?? tests[0]?.measured.top1_percent;
  return [
    h("a", { href: `#run${i}` }, head.name),
    head.state,
    isNamed ? `${value} ${nameOf(head.objective)}` : value,
    head.kind === "search" ? sizeOf(best?.params, best?.macs) || "–" : "–",
    finalTile(finals)[0]?.[1] ?? score("top1_percent", tested),
    finalSize(head, best, finals) || "–",
    costs ? plain(scored(costs)) : "–",
    plain(costs?.failed),
    duration(costs?.seconds),
    String(head.seed),
    head.space,
    head.strategy,
  ];
}
