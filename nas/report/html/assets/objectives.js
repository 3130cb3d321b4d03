// Several objectives: the hypervolume of the front over the search, and the front on its way; the importances of choices.

function objectivesOf(run, id) {
  const { objectives } = run;
  if (!objectives) return null;
  const { names, reference, hypervolume, evaluations, fronts } = objectives;
  const point = names.map((name, i) => `${score(name, reference[i])} ${nameOf(name)}`).join(", ");
  const last = fronts.at(-1);
  const reading =
    `${count(last.first.length, "architecture")} on the front after ${count(evaluations.at(-1), "evaluation")}. ` +
    `The hypervolume is ${plain(hypervolume.at(-1))}, above the reference point of ${point}: the worst of all evaluations.`;
  const title = `Fronts of ${names.map(nameOf).join(" and ")}`;
  const others = names.length > 2 ? " (of the first two objectives)" : "";
  return section(
    id,
    title,
    reading,
    h(
      "div",
      { class: "columns" },
      h("div", {}, h("h3", {}, "Hypervolume by evaluations"), chart("Hypervolume by evaluations", (c) => volumeOption(objectives, c), "small")),
      h("div", {}, h("h3", {}, `Fronts on the way${others}`), chart(`${title} on the way`, (c) => frontsOption(objectives, c), "small")),
    ),
    legend((c) => fronts.map((front, i) => [`after ${count(front.evaluations, "evaluation")}`, frontColour(i, fronts, c), frontDash(i, fronts)])),
  );
}

const frontColour = (i, fronts, c) => (i === fronts.length - 1 ? c.accent : c.soft);
const frontDash = (i, fronts) => (i === fronts.length - 1 ? null : ["2 3", "6 3"][i % 2]);

function volumeOption({ evaluations, hypervolume }, c) {
  return base(c, {
    xAxis: axis(c, "evaluations", { min: 0, max: "dataMax", scale: false, minInterval: 1, axisLabel: { formatter: short } }),
    yAxis: axis(c, "hypervolume", { side: "y", axisLabel: { formatter: tick } }),
    tooltip: tooltip(c, {
      trigger: "axis",
      formatter: (points) => tip([`after ${count(points[0].value[0], "evaluation")}: ${plain(points[0].value[1])}`]),
    }),
    series: [line("hypervolume", evaluations.map((x, i) => [x, hypervolume[i]]), c.accent, { lineStyle: { width: 2 } })],
  });
}

function frontsOption({ names, fronts }, c) {
  const series = fronts.map((front, i) => {
    const points = front.second.map((x, k) => [x, front.first[k]]);
    const dash = frontDash(i, fronts)?.split(" ").map(Number) ?? "solid";
    const symbol = i === fronts.length - 1 ? { showSymbol: true, symbolSize: 6 } : {};
    return line(`after ${plain(front.evaluations)}`, points, frontColour(i, fronts, c), { ...symbol, lineStyle: { type: dash, width: 1.5 } });
  });
  return base(c, {
    xAxis: axis(c, words(names[1]), { axisLabel: { formatter: short } }),
    yAxis: axis(c, words(names[0]), { side: "y", axisLabel: { formatter: tick } }),
    tooltip: tooltip(c, {
      trigger: "item",
      formatter: ({ seriesName, value }) => tip([`${seriesName}: ${score(names[0], value[1])}, ${score(names[1], value[0])}`]),
    }),
    series,
  });
}

/** Make the table of the choices that matter most. */
function importancesOf(run, id) {
  const title = "Importance of the choices";
  const found = Object.entries(run.importances).sort((a, b) => b[1] - a[1]);
  if (!found.length) return empty(id, title, run.missing.importances ?? "nothing was scored yet");
  const shown = found.slice(0, 24);
  const reading =
    `How much a choice matters for being among the best tenth (PED-ANOVA): ${found[0][0]} has ${found[0][1].toFixed(1)} %.` +
    (found.length > shown.length ? ` The first ${shown.length} of ${count(found.length, "choice")} are shown.` : "");
  const rows = shown.map(([name, percent]) => [h("span", { class: "mono" }, name), meter(percent)]);
  return section(id, title, reading, h("div", { class: "line" }, table(["choice", "importance"], rows)));
}
