// Trainings that end early: rungs, and the learning curves of all candidates.

function fidelityOf(run, id) {
  const { rungs, learning } = run;
  // without an early end, the curves of a search without rungs are those of whole trainings
  if (!rungs.length && !learning.some(({ end }) => end === "stopped")) return null;
  const stopped = learning.filter(({ end }) => end === "stopped").length;
  const readings = [
    rungs.length ? `${count(rungs.length, "rung")}: ${rungs.map((each) => `${plain(each.ended)} ended after ${count(each.epochs, "epoch")}`).join(", ")}.` : "",
    stopped ? `${count(stopped, "training")} of ${plain(learning.length)} ended before the last epoch.` : "",
    run.learning_left_out ? `${count(run.learning_left_out, "curve")} are left out: the best half is drawn, and an even choice of the others.` : "",
  ];
  const name = run.head.objective;
  const curves = learning.length ? h("div", {}, h("h3", {}, `${capital(nameOf(name))} by epoch`), chart(`${nameOf(name)} of the candidates by epoch`, (c) => learningOption(run, c))) : null;
  const keys = (c) => [
    ["to its last epoch", c.accent],
    ["ended early", c.pale],
    ["failed", c.bad],
  ];
  return section(id, "Early stopping", readings.filter(Boolean).join(" "), rungTable(run), curves, curves ? legend(keys) : null);
}

function rungTable({ rungs, head }) {
  if (!rungs.length) return null;
  const rows = rungs.map((each) => [
    plain(each.epochs),
    plain(each.ended),
    plain(each.promoted),
    plain(each.failed),
    each.best == null ? "–" : `${score(head.objective, each.best)} (#${each.number})`,
  ]);
  return h("div", { class: "line" }, table(["epochs", "ended", "promoted", "failed", `best ${nameOf(head.objective)}`], rows));
}

function learningOption({ learning, head }, c) {
  const look = { ended: [c.accent, 3], stopped: [c.pale, 2], failed: [c.bad, 4], "in flight": [c.accent, 3] };
  const series = learning.map(({ number, epochs, values, end }) =>
    line(`#${number}`, epochs.map((epoch, i) => [epoch, values[i]]), faint(look[end][0], end === "stopped" ? 0.6 : 0.8), {
      z: look[end][1],
      symbolSize: 3,
      showSymbol: epochs.length === 1,
      lineStyle: { width: 1 },
    }),
  );
  const all = learning.flatMap(({ values }) => values);
  return base(c, {
    xAxis: axis(c, "epoch", { min: 1, max: "dataMax", scale: false, minInterval: 1 }),
    yAxis: axis(c, words(head.objective), { side: "y", ...round(head.objective, all), axisLabel: { formatter: tick } }),
    tooltip: tooltip(c, {
      trigger: "item",
      formatter: ({ seriesName, value }) => tip([`${seriesName}, epoch ${value[0]}: ${score(head.objective, value[1])}`]),
    }),
    series,
  });
}
