/**
 * Runs `work` on every item, at most `limit` at a time, and returns the results in the order of `items`. After an error
 * nothing more is begun; it is thrown once what runs has ended.
 */
export async function inParallel<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  let count = 0;
  for await (const item of items) {
    if (failures.length > 0) break;
    const at = count;
    count += 1;
    const task: Promise<void> = work(item)
      .then((result) => {
        results[at] = result;
      })
      .catch((error: unknown) => {
        failures.push(error);
      })
      .finally(() => running.delete(task));
    running.add(task);
    if (running.size >= limit) await Promise.race(running);
  }
  await Promise.all(running);
  if (failures.length > 0) throw failures[0];
  return results;
}
