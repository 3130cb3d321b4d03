// Supernet searches: curves over epochs, the collapse monitor, and the strengths of the options.

const MEASURED = [
  ["Loss", { loss: "weights' batches", alphas_loss: "alphas' batches" }],
  ["Accuracy, %", { top1_percent: "weights' batches", alphas_top1_percent: "alphas' batches" }],
  ["Entropy: 1 undecided, 0 decided", { entropy: "entropy" }, { min: 0, max: 1, scale: false }],
  ["Skip connections", { skips: "skips", skippable: "possible" }, { min: 0, scale: false, minInterval: 1 }],
  ["Largest eigenvalue of the Hessian", { eigenvalue: "eigenvalue" }],
];

function supernetsOf(run, id) {
  if (run.supernets.length) return h("div", { id }, run.supernets.map(supernetOf));
  return run.head.settings.supernet ? empty(id, "Supernet", run.missing.supernets ?? "No epoch has ended yet.") : null;
}

/** Make the section of one supernet search: the collapse monitor, and the strengths of the options of each choice. */
function supernetOf(each) {
  const warnings = Object.entries(each.warnings);
  const [epoch, warning] = warnings.at(-1) ?? [];
  return section(
    null,
    `Supernet: ${each.method}, seed ${each.seed}`,
    readSupernet(each, warnings.length),
    warning ? h("p", { class: "notice" }, `Epoch ${epoch}: ${warning}`) : null,
    each.note ? h("p", { class: "reading" }, sentence(each.note)) : null,
    h(
      "div",
      { class: "columns" },
      MEASURED.map((panel) => measuredPanel(each, ...panel)),
    ),
    each.choices.length ? alphas(each) : h("p", { class: "empty" }, "This method has no architecture parameters."),
  );
}

function readSupernet(each, warnings) {
  const last = (name) => each.measured[name]?.findLast((value) => value != null);
  const [entropy, skips] = [last("entropy"), last("skips")];
  const monitor = warnings ? `the monitor warned in ${count(warnings, "epoch")}` : "the monitor saw no collapse";
  const untaken = ({ labels, strongest }) => labels.at(-1) === "none" && strongest !== "none";
  const parts = [
    `After ${count(each.epochs.at(-1) ?? 0, "epoch")} ${monitor}.`,
    entropy == null ? "" : `The entropy is ${plain(entropy)}.`,
    skips == null ? "" : `${plain(skips)} of ${plain(last("skippable"))} operations are skip connections.`,
    each.choices.some(untaken) ? "“none” takes part in the search only; no derived cell has it." : "",
    each.phases.length ? `A phase ends at each dotted line, after epoch ${each.phases.join(" and ")}.` : "",
  ];
  return parts.filter(Boolean).join(" ");
}

/** Make the panel of one kind of measurement, such as the losses; null where there is none. */
function measuredPanel(each, title, labels, limits) {
  const names = Object.keys(labels).filter((name) => each.measured[name]?.some((value) => value != null));
  if (!names.length) return null;
  const curve = (name, i) => ({ label: labels[name], epochs: each.epochs, values: each.measured[name], look: nth(i) });
  const curves = names.map(curve);
  const keys = (c) => curves.map(({ label, look }) => [label, look(c).colour, svgDash(look(c).dash)]);
  const drawn = epochChart(title, curves, { limits, phases: each.phases });
  return h("div", {}, h("h3", {}, title), drawn, curves.length > 1 ? legend(keys) : null);
}

/** Make the panels of the strengths, one per choice. */
function alphas(each) {
  const labels = [...new Set(each.choices.flatMap((learnt) => learnt.labels))];
  const key = (label, c) => [label, optionLine(label, c).colour, svgDash(optionLine(label, c).dash)];
  const highest = highestOf(each.choices);
  return h(
    "div",
    { class: "more" },
    h("h3", {}, "Strength of each option, by choice; the title names the strongest at the end"),
    legend((c) => labels.map((label) => key(label, c))),
    h(
      "div",
      { class: "columns" },
      each.choices.map((learnt) => alphaPanel(learnt, each, highest[kindOf(learnt)])),
    ),
  );
}

/** The kind of a choice: its options are operations, edges or numbers. */
const kindOf = ({ labels }) => (/^\d/.test(labels[0]) ? "numbers" : labels[0].startsWith("Edge ") ? "edges" : "operations");

/** The upper limit of the strengths, by kind: the charts of a kind share it, so that they can be compared. */
function highestOf(choices) {
  const highest = {};
  for (const learnt of choices) {
    const most = learnt.strengths.flat().reduce((a, b) => Math.max(a, b ?? 0), highest[kindOf(learnt)] ?? 0);
    highest[kindOf(learnt)] = Math.max(0.1, Math.ceil(10 * most) / 10);
  }
  return highest;
}

function alphaPanel(learnt, each, max) {
  const look = (label) => (c) => ({ ...optionLine(label, c), width: label === learnt.strongest ? 3 : 1.4 });
  const curve = (label, i) => ({
    label,
    epochs: each.epochs,
    values: learnt.strengths[i],
    look: look(label),
    breaks: true, // a dropped option has no strength any more
  });
  const options = { size: "tiny", name: "", limits: { scale: false, max, interval: max / 2 }, phases: each.phases };
  const drawn = epochChart(`Strengths of the options of ${learnt.name}`, learnt.labels.map(curve), options);
  return h("div", {}, h("h3", {}, `${learnt.name}: ${learnt.strongest || "undecided"}`), drawn);
}
