// Curves over epochs, for supernets and trainings.

/**
 * Make a chart of curves: [{ label, epochs, values, look: (colours) => ({ colour, dash, width }), breaks }].
 * A curve is drawn across epochs without a value (validation may run every tenth epoch only), unless `breaks` is true.
 */
function epochChart(title, curves, { size = "small", name = "epoch", limits = {}, phases = [], say = plain } = {}) {
  const last = Math.max(...curves.map(({ epochs }) => epochs.at(-1) ?? 1));
  const first = Math.min(...curves.map(({ epochs }) => epochs[0] ?? 1));
  const option = (c) =>
    base(c, {
      grid: { left: 50, right: 10, top: 8, bottom: name ? 40 : 26 },
      xAxis: axis(c, name, { min: first, max: Math.max(last, first + 1), scale: false, minInterval: 1, nameGap: 24 }),
      yAxis: axis(c, "", {
        side: "y",
        splitNumber: size === "tiny" ? 3 : 5,
        ...limits,
        axisLabel: { formatter: tick },
      }),
      tooltip: tooltip(c, { trigger: "axis", formatter: (points) => epochTip(points, say) }),
      series: [...curves.map((curve) => epochLine(curve, c)), phaseLines(phases, c)],
    });
  return chart(`${title} by epoch`, option, size);
}

function epochLine({ label, epochs, values, look, breaks = false }, c) {
  const { colour, dash, width = 2 } = look(c);
  const points = epochs.map((epoch, i) => [epoch, values[i]]).filter(([, value]) => breaks || value != null);
  return line(label, points, colour, { z: 2 + width, lineStyle: { type: dash ?? "solid", width } });
}

/** Make the tooltip of an epoch: the value of each curve, the highest first. */
function epochTip(points, say) {
  const known = points.filter(({ value }) => value[1] != null).sort((a, b) => b.value[1] - a.value[1]);
  return tip([`epoch ${points[0].axisValue}`, ...known.map((each) => `${each.seriesName}: ${say(each.value[1])}`)]);
}

/** Dotted lines between the phases of a search. */
function phaseLines(phases, c) {
  const data = phases.map((epoch) => ({ xAxis: epoch + 0.5 })); // between two epochs; an empty series carries the lines
  const lineStyle = { type: "dotted", color: c.soft };
  return {
    type: "line",
    data: [],
    markLine: { silent: true, symbol: "none", label: { show: false }, lineStyle, data },
  };
}

/** Return the colour and dash of the i-th curve of a panel. */
const nth = (i) => (c) => ({ colour: [c.accent, c.bad, c.soft][i % 3], dash: ["solid", [6, 3], [2, 2]][i % 3] });

/** Return a dash pattern of ECharts as SVG writes it. */
const svgDash = (dash) => (Array.isArray(dash) ? dash.join(" ") : null);
