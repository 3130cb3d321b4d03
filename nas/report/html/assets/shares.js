// Option frequencies over the course of a search.

const NAMED = 10;

/** Return the colour and dash of an option, the same in all charts. Ink and pale follow the theme. */
function optionLine(label, c) {
  const [colour, dash] = DATA.colours[label] ?? ["#9aa5b5", null];
  const themed = { "#1c2430": c.ink, "#9aa5b5": c.pale }[colour];
  return { colour: themed ?? readable(colour, c, 2.2), dash: dash ?? "solid" };
}

function sharesOf(run, id) {
  const title = "Option frequencies over time";
  if (!run.shares.length) return empty(id, title, run.missing.shares ?? "No strategy proposed architectures.");
  const made = Math.max(...run.shares.map((panel) => panel.evaluations.at(-1)));
  const window = count(Math.min(run.share_window, made), "evaluation");
  const panels = `Each panel is a choice: the shares of its options among the last ${window}.`;
  const more = run.shares_left_out ? ` ${count(run.shares_left_out, "more choice")} not shown.` : "";
  const reading = `${panels} ${readShares(run.shares)}${more}`;
  return section(id, title, reading, h("div", { class: "columns" }, run.shares.map(sharePanel)));
}

/** Return a sentence on the option whose share grew most. */
function readShares(panels) {
  const gains = panels.flatMap((panel) =>
    panel.labels.map((label, i) => {
      const values = panel.percent[i];
      // from a tenth of the search on, as the first windows hold few evaluations, and once the choice was open in some of them
      const open = values.findIndex((_, at) => panel.percent.some((each) => each[at] > 0));
      const from = values[Math.max(open, Math.floor(values.length / 10))];
      return { label, title: panel.title, from, to: values.at(-1), gain: values.at(-1) - from };
    }),
  );
  const most = gains.reduce((a, b) => (b.gain > a.gain ? b : a), { gain: 0 });
  return most.gain >= 1
    ? `“${most.label}” gained most: from ${most.from.toFixed(0)} to ${most.to.toFixed(0)} %, at ${most.title}.`
    : "No option gained.";
}

function sharePanel(panel) {
  const order = panel.labels.map((_, i) => i).filter((i) => panel.percent[i].some((value) => value > 0));
  const last = (i) => panel.percent[i].at(-1);
  const first = [...order].sort((a, b) => last(b) - last(a)).slice(0, NAMED);
  const key = (i, c) => [`${panel.labels[i]} ${last(i).toFixed(0)} %`, optionLine(panel.labels[i], c).colour, "box"];
  const drawn = chart(`Share of each option at ${panel.title}`, (c) => shareOption(panel, order, c), "small");
  const more = order.length > NAMED ? h("p", { class: "reading" }, `and ${order.length - NAMED} more`) : null;
  return h(
    "div",
    {},
    h("h3", {}, panel.title),
    drawn,
    legend((c) => first.map((i) => key(i, c))),
    more,
  );
}

function shareOption(panel, order, c) {
  const series = order.map((i) => {
    const { colour } = optionLine(panel.labels[i], c);
    return line(
      panel.labels[i],
      panel.evaluations.map((x, at) => [x, panel.percent[i][at]]),
      colour,
      {
        stack: "all",
        areaStyle: { color: colour, opacity: 0.85 },
        lineStyle: { width: 0.7, color: c.surface },
        showSymbol: false,
      },
    );
  });
  return base(c, {
    grid: { left: 50, bottom: 40, top: 8 },
    xAxis: axis(c, "evaluations", {
      min: "dataMin",
      max: "dataMax",
      scale: false,
      nameGap: 24,
      minInterval: 1,
      axisLabel: { formatter: short },
    }),
    yAxis: axis(c, "share, %", { side: "y", min: 0, max: 100, scale: false, interval: 25, nameGap: 34 }),
    tooltip: tooltip(c, { trigger: "axis", formatter: shareTip }),
    series,
  });
}

function shareTip(points) {
  const known = points.filter(({ value }) => value[1] > 0).sort((a, b) => b.value[1] - a.value[1]);
  const rows = known.slice(0, 8).map(({ value, seriesName }) => `${seriesName} ${value[1].toFixed(1)} %`);
  return tip([`after ${count(points[0].axisValue, "evaluation")}`, ...rows]);
}
