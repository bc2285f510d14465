/**
 * Bars as SVG: one row a guest, one bar a variant, and a line where the ratio is 1.
 *
 * Written by hand: what a library of charts adds (scales, axes, interaction) is more than all of this file, and
 * none of it is needed for bars of one scale.
 */
export interface Bars {
  readonly title: string;
  readonly series: readonly string[];
  readonly rows: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
}

const COLOURS = ['#9aa0a6', '#d98324', '#2a7f62', '#7b5ea7', '#b7a5d3'];
const BAR = 9;
const GAP = 10;
const LEFT = 120;
const WIDTH = 900;
const TOP = 60;
const FONT = 'font-family="sans-serif" font-size="12"';

/** A whole SVG document. Values are ratios; a bar longer than the chart is cut, its number says how long. */
export function barChart({ title, series, rows }: Bars): string {
  const values = rows.flatMap((row) => row.values).filter((value) => value !== null);
  const most = Math.min(2.5, Math.max(1.2, ...values));
  const scale = (WIDTH - LEFT - 60) / most;
  const rowHeight = series.length * BAR + GAP;
  const height = TOP + rows.length * rowHeight + GAP;
  const one = LEFT + scale;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ${FONT}>`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="white"/>`,
    `<text x="${GAP}" y="20" font-size="14">${escaped(title)}</text>`,
    ...series.map((name, index) => {
      const x = GAP + index * 170;
      return `<rect x="${x}" y="32" width="10" height="10" fill="${colour(index)}"/><text x="${x + 15}" y="42">${escaped(name)}</text>`;
    }),
  ];
  rows.forEach((row, index) => {
    const y = TOP + index * rowHeight;
    parts.push(`<text x="${GAP}" y="${y + rowHeight / 2}">${escaped(row.name)}</text>`);
    row.values.forEach((value, bar) => {
      if (value === null) return;
      const width = Math.min(value, most) * scale;
      const at = y + bar * BAR;
      parts.push(
        `<rect x="${LEFT}" y="${at}" width="${width.toFixed(1)}" height="${BAR - 1}" fill="${colour(bar)}"/>`,
        `<text x="${(LEFT + width + 4).toFixed(1)}" y="${at + BAR - 1}" font-size="9">${value.toFixed(2)}</text>`,
      );
    });
  });
  parts.push(
    `<line x1="${one}" y1="${TOP - 6}" x2="${one}" y2="${height - GAP}" stroke="black" stroke-dasharray="3 3"/>`,
    '</svg>',
  );
  return `${parts.join('\n')}\n`;
}

function colour(index: number): string {
  return COLOURS[index % COLOURS.length]!;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
