/** Numbers about numbers. */

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** Half the distance between the smallest and the largest, as a part of 1: what noise alone does. */
export function halfSpread(ratios: readonly number[]): number {
  return (Math.max(...ratios) - Math.min(...ratios)) / 2;
}
