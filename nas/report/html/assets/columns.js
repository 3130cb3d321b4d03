// The table of evaluations: its columns, its filter and its order.

/** Return the columns of a run: { name, width in pixels, value(i) to sort by, shown(i) as text }. */
function columnsOf(run) {
  const all = run.evaluations;
  const text = (name, width, value) => ({ name, width, value, shown: value });
  const named = (names, column) => (i) => (column[i] < 0 ? "" : names[column[i]]);
  const isScored = all.failure.every((reason) => reason < 0) && !run.costs?.in_flight;
  const columns = [
    numbers("#", 70, (i) => i, String),
    ...scoreColumns(run),
    isScored ? null : text("state", 84, (i) => stateOf(run, i)),
    text("origin", 96, named(all.origins, all.origin)),
    text("parents", 96, (i) => all.parents[i].map((number) => `#${number}`).join(" ")),
    all.scores.seconds
      ? null
      : numbers(
          "duration, s",
          80,
          (i) => tookOf(all, i),
          (value) => digits(value, 3),
        ),
    all.workers.length > 1 ? text("worker", 110, named(all.workers, all.worker)) : null,
    text("digest", 108, (i) => (all.digests[all.architecture[i]] ?? "").slice(0, 10)),
    text("architecture, or reason of failure", 340, (i) => failureOf(all, i) ?? all.texts[all.architecture[i]]),
  ];
  return columns.filter(Boolean);
}

const numbers = (name, width, value, say = plain) => ({
  name,
  width,
  value,
  shown: (i) => (value(i) == null ? "" : say(value(i))),
  isNumber: true,
});

/** Return the columns of the scores, the objective first, then costs that were profiled, not scored. */
function scoreColumns({ head, evaluations, fronts }) {
  const { scores, architecture } = evaluations;
  const names = Object.keys(scores).sort((a, b) => (b === head.objective) - (a === head.objective));
  const wide = (name) => 8 * heading(name).length + 40;
  const own = names.map((name) =>
    numbers(
      heading(name),
      wide(name),
      (i) => scores[name][i],
      (value) => cell(name, value),
    ),
  );
  const profiled = fronts
    .filter((front) => !(front.cost in scores))
    .map((front) => {
      const costs = new Map(front.number.map((number, i) => [architecture[number], front.costs[i]]));
      return numbers(heading(front.cost), 90, (i) => costs.get(architecture[i]), short);
    });
  return [...own, ...profiled];
}

/** Return the heading of a score: its name with its unit. */
const heading = (name) => ({ params: "params", macs: "MACs", seconds: "seconds" })[name] ?? words(name);
const digits = (value, number) => String(Number(value.toPrecision(number)));
const tookOf = (all, i) => (all.ended[i] == null || all.began[i] == null ? null : all.ended[i] - all.began[i]);
const failureOf = (all, i) => (all.failure[i] < 0 ? null : all.failures[all.failure[i]]);

/** Format a score without its unit, which the heading has. */
function cell(name, value) {
  if (name === "params" || name === "macs") return short(value);
  return name.endsWith("seconds") ? digits(value, 4) : score(name, value).replace(/ %$/, "");
}

function stateOf({ evaluations, head }, i) {
  if (evaluations.failure[i] >= 0) return "failed";
  if (evaluations.order[i] < 0) return "in flight";
  return evaluations.scores[head.objective]?.[i] == null ? "screened" : "scored";
}

const COMPARE = {
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
  "=": (a, b) => a === b,
};

/** Return a predicate of rows for a query: words that must all occur in the row, and bounds such as `macs<5e6`. */
function queryOf(query, columns, wordsOf) {
  const parts = query.trim().toLowerCase().match(/\S+/g) ?? [];
  const tests = parts.map((part) => {
    // a column's name (or a part of it), a comparison, a number; anything else is a word
    const [, name, sign, bound] = part.match(/^([^<>=]+)(<=|>=|<|>|=)([-\d.e]+)$/) ?? [];
    const column = name && columns.find((each) => each.isNumber && each.name.toLowerCase().includes(name));
    if (!column) return (i) => wordsOf(i).includes(part);
    return (i) => column.value(i) != null && COMPARE[sign](column.value(i), Number(bound));
  });
  return (i) => tests.every((test) => test(i));
}

/** Sort rows by a column; rows without a value come last in both directions. */
function sorted(rows, column, isDescending) {
  const keys = new Map(rows.map((i) => [i, column.value(i)]));
  const isMissing = (value) => value == null || value === "";
  const compare = (a, b) => (column.isNumber ? a - b : a < b ? -1 : a > b ? 1 : 0);
  return [...rows].sort((i, j) => {
    const [a, b] = [keys.get(i), keys.get(j)];
    if (isMissing(a) || isMissing(b)) return isMissing(a) - isMissing(b) || i - j;
    return (isDescending ? -compare(a, b) : compare(a, b)) || i - j;
  });
}
