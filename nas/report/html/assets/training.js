// Trainings and transfers: curves over epochs, tests with accuracies by class, and trials.

const DRAWN_TRAININGS = 12;
const DRAWN_CLASSES = 200;
const TOP1 = { train_top1_percent: "training", validation_top1_percent: "validation", ema_top1_percent: "validation, EMA" };

function trainingsOf(run, id) {
  const { trainings, missing, head } = run;
  const why = head.kind === "search" ? null : missing.trainings;
  if (!trainings.length) return why ? empty(id, "Training", why) : null;
  const reached = trainings.map((each) => `${each.role}: ${each.epochs.at(-1) ?? 0} of ${count(each.of_epochs, "epoch")}`);
  const drawn = reached.length > DRAWN_TRAININGS ? `, of which the first ${DRAWN_TRAININGS} are drawn` : "";
  const more = reached.length > 4 ? `; and ${reached.length - 4} more${drawn}` : "";
  const shown = trainings.slice(0, DRAWN_TRAININGS);
  const isAlone = shown.length === 1; // then its accuracies are lines of one chart
  // a measurement that is 0 or missing throughout, such as broken images, has no panel
  const isInformative = (name) => name !== "total_seconds" && !(isAlone && name in TOP1) && trainings.some((each) => each.measured[name]?.some(Boolean));
  const names = [...new Set(trainings.flatMap((each) => Object.keys(each.measured)))].filter(isInformative);
  const together = isAlone ? measuredPanel(shown[0], "Top-1 accuracy, %", TOP1) : null;
  const panels = names.map((name) => h("div", {}, h("h3", {}, name === "seconds" ? "Time of an epoch, s" : capital(words(name))), trainingChart(name, shown)));
  const keys = (c) => shown.map((each, i) => [each.role, runLook(i)(c).colour, svgDash(runLook(i)(c).dash)]);
  const reading = `${reached.slice(0, 4).map((text, i) => text + validated(trainings[i])).join("; ")}${more}.`;
  const key = shown.length > 1 ? legend(keys) : null;
  return section(id, "Training curves", reading, h("div", { class: "columns" }, together, panels), key);
}

/** Return the last and the best validation accuracy of a training, as text. */
function validated({ epochs, measured }) {
  const values = measured.validation_top1_percent ?? [];
  const known = epochs.map((epoch, i) => [epoch, values[i]]).filter(([, value]) => value != null);
  if (!known.length) return "";
  const [epoch, best] = known.reduce((a, b) => (b[1] > a[1] ? b : a));
  return `, validation accuracy ${known.at(-1)[1].toFixed(2)} % in the last epoch, best ${best.toFixed(2)} % after epoch ${epoch}`;
}

function trainingChart(name, trainings) {
  const curve = ({ role, epochs, measured }, i) => ({ label: role, epochs, values: measured[name], look: runLook(i) });
  const curves = trainings.map(curve).filter(({ values }) => values);
  return epochChart(words(name), curves, { say: (value) => score(name, value) });
}

function testsOf(run, id) {
  const { missing, head } = run;
  const top1 = ({ measured }) => measured.top1_percent ?? 0;
  const tests = head.kind === "transfer" ? [...run.tests].sort((a, b) => top1(b) - top1(a)) : run.tests;
  const why = head.kind === "search" ? null : missing.tests;
  if (!tests.length) return why ? empty(id, "On test images", why) : null;
  const names = [...new Set(tests.flatMap((test) => Object.keys(test.measured)))];
  const cell = (test, name) => (test.measured[name] == null ? "" : score(name, test.measured[name]));
  const rows = names.map((name) => [words(name), ...tests.map((test) => cell(test, name))]);
  const right = score("top1_percent", tests[0].measured.top1_percent);
  const some = tests.length > 2 ? " Classes are shown for the first two." : "";
  const reading = `${capital(roleOf(tests[0]))}: ${right} of the images are classified correctly.${some}`;
  const classes = tests
    .filter((test) => test.classes.length)
    .slice(0, 2)
    .map(classTable);
  const measured = table(["measured", ...tests.map(roleOf)], rows);
  const columns = h("div", { class: "columns" }, tests.length > 2 ? classes : [measured, ...classes]);
  return section(id, "On test images", reading, tests.length > 2 ? measured : null, columns);
}

/** Make the table of the classes, the lowest accuracy first. */
function classTable(test) {
  const order = test.classes.map((_, i) => i).sort((a, b) => test.right_percent[a] - test.right_percent[b]);
  const row = (i) => [test.classes[i], plain(test.images[i]), meter(test.right_percent[i])];
  const some = order.length > DRAWN_CLASSES ? `, the lowest ${DRAWN_CLASSES} of ${order.length}` : "";
  const body = table(["class", "images", "accuracy"], order.slice(0, DRAWN_CLASSES).map(row));
  const title = `Accuracy by class of ${roleOf(test)}, the lowest first${some}`;
  return h("div", {}, h("h3", {}, title), h("div", { class: "line" }, body));
}

function trialsOf(run, id) {
  const { trials, missing, head } = run;
  const why = head.kind === "transfer" ? (missing.trials ?? "No trial has ended yet.") : null;
  if (!trials) return why ? empty(id, "Transfer", why) : null;
  const groups = waysOf(trials);
  const rows = trials.way.map((way, i) => [
    way,
    plain(trials.labels_percent[i]),
    plain(trials.repeat[i]),
    trials.failure[i] ? reasonOf(trials.failure[i]) : score("top1_percent", trials.top1_percent[i]),
    duration(trials.seconds[i]),
    trials.worker[i],
  ]);
  return section(
    id,
    "Transfer: test accuracy by share of labels",
    readTrials(trials),
    chart("Test accuracy by share of labels, in percent", (c) => trialsOption(trials, groups, c)),
    legend((c) => groups.map(([way], i) => [way, runLook(i)(c).colour, svgDash(runLook(i)(c).dash)])),
    h("div", { class: "line" }, table(["way", "labels, %", "repeat", "test top-1", "time", "worker"], rows)),
  );
}

function readTrials(trials) {
  const left = trials.left ? `${count(trials.left, "trial")} left.` : "";
  const best = bestTrial(trials);
  const means = repeated(trials) ? "Lines join the means of repeats; bands reach from the lowest to the highest. " : "";
  return best ? `Best: ${trialName(best)}, ${best.mean.toFixed(2)} %. ${means}${left}`.trim() : left;
}

const repeated = (trials) => trials.repeat.some(Boolean);

/** Return the way and share of labels with the highest mean over repeats, as { way, labels, mean }; null without a result. */
function bestTrial(trials) {
  const all = waysOf(trials).flatMap(([way, means]) => means.map((each) => ({ way, ...each })));
  return all.length ? all.reduce((a, b) => (b.mean > a.mean ? b : a)) : null;
}

const trialName = ({ way, labels }) => `${way} with ${plain(labels)} % of the labels`;
const waysOf = (trials) => [...new Set(trials.way)].map((way) => [way, meansOf(trials, way)]);

/** Return the mean, lowest and highest over repeats at each share of labels, as [{ labels, mean, low, high }]. */
function meansOf(trials, way) {
  const places = trials.way.map((_, i) => i).filter((i) => trials.way[i] === way && trials.top1_percent[i] != null);
  const groups = Map.groupBy(places, (i) => trials.labels_percent[i]);
  const summed = ([labels, group]) => {
    const values = group.map((i) => trials.top1_percent[i]);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return { labels, mean, low: Math.min(...values), high: Math.max(...values) };
  };
  return [...groups].map(summed).sort((a, b) => a.labels - b.labels);
}

function trialsOption(trials, groups, c) {
  const shares = [...new Set(trials.labels_percent)].sort((a, b) => a - b);
  const points = trials.way.map((way, i) => ({
    way,
    value: [String(trials.labels_percent[i]), trials.top1_percent[i]],
  }));
  // each way is a line through its means, and a dot per repeat
  const series = groups.flatMap(([way, means], i) => {
    const { colour, dash } = runLook(i)(c);
    const mean = means.map((each) => [String(each.labels), each.mean]);
    const [x, low, high] = [(each) => String(each.labels), (each) => each.low, (each) => each.high].map((of) => means.map(of));
    const data = points.filter((each) => each.way === way && each.value[1] != null).map((each) => each.value);
    return [
      ...(repeated(trials) ? band(`${way}, from lowest to highest`, x, low, high, colour) : []),
      line(way, mean, colour, { showSymbol: true, symbolSize: 7, lineStyle: { type: dash } }),
      { type: "scatter", name: way, symbolSize: 5, itemStyle: { color: faint(colour, 0.5) }, data },
    ];
  });
  const say = ({ seriesName, value }) => tip([seriesName, `${value[0]} % of the labels: ${plain(value[1])} %`]);
  return base(c, {
    xAxis: axis(c, "labels, %", { type: "category", data: shares.map(String) }),
    yAxis: axis(c, "test top-1, %", { side: "y", axisLabel: { formatter: tick } }),
    tooltip: tooltip(c, { trigger: "item", formatter: say }),
    series,
  });
}
