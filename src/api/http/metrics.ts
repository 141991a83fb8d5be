/** Upper bounds of the histogram of durations, seconds. */
const durationBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

interface OperationFigures {
  /** By HTTP status. */
  readonly requests: Map<number, number>;
  /** For each bound how many took at most that long. */
  readonly buckets: number[];
  durationSeconds: number;
  count: number;
}

export interface Gauge {
  readonly name: string;
  readonly help: string;
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

/** What the server counts, in Prometheus' text format (version 0.0.4). */
export class ServerMetrics {
  readonly #operations = new Map<string, OperationFigures>();
  #inFlight = 0;
  #signInFailures = 0;

  requestStarted(): void {
    this.#inFlight += 1;
  }

  /** @param operation a name of the contract's table; "unknown" for none, so that paths make no new series */
  requestEnded(operation: string, status: number, durationMs: number): void {
    this.#inFlight -= 1;
    let figures = this.#operations.get(operation);
    if (figures === undefined) {
      figures = { requests: new Map(), buckets: durationBounds.map(() => 0), durationSeconds: 0, count: 0 };
      this.#operations.set(operation, figures);
    }
    const seconds = durationMs / 1000;
    figures.requests.set(status, (figures.requests.get(status) ?? 0) + 1);
    for (const [index, bound] of durationBounds.entries()) {
      if (seconds <= bound) figures.buckets[index] = (figures.buckets[index] ?? 0) + 1;
    }
    figures.durationSeconds += seconds;
    figures.count += 1;
  }

  signInFailed(): void {
    this.#signInFailures += 1;
  }

  /** @param gauges what others have to say at this moment */
  render(gauges: readonly Gauge[]): string {
    const operations = [...this.#operations].toSorted(([a], [b]) => (a < b ? -1 : 1));
    const lines = [
      ...head("holdfast_http_requests_total", "counter", "Requests that were answered."),
      ...operations.flatMap(([operation, { requests }]) =>
        Array.from(requests, ([status, count]) =>
          sample("holdfast_http_requests_total", { operation, status: String(status) }, count),
        ),
      ),
      ...head(
        "holdfast_http_request_duration_seconds",
        "histogram",
        "From the request's head to the end of its answer.",
      ),
      ...operations.flatMap(([operation, figures]) => histogram(operation, figures)),
      ...head("holdfast_http_requests_in_flight", "gauge", "Requests that are being answered."),
      sample("holdfast_http_requests_in_flight", {}, this.#inFlight),
      ...head("holdfast_sign_in_failures_total", "counter", "Attempts to sign in that failed."),
      sample("holdfast_sign_in_failures_total", {}, this.#signInFailures),
      ...gauges.flatMap(({ name, help, samples }) => [
        ...head(name, "gauge", help),
        ...samples.map(({ labels, value }) => sample(name, labels, value)),
      ]),
    ];
    return `${lines.join("\n")}\n`;
  }
}

const head = (name: string, type: "counter" | "gauge" | "histogram", help: string): string[] => [
  `# HELP ${name} ${help}`,
  `# TYPE ${name} ${type}`,
];

function sample(name: string, labels: Readonly<Record<string, string>>, value: number): string {
  const inner = Object.entries(labels)
    .map(
      ([label, text]) => `${label}="${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`,
    )
    .join(",");
  return `${name}${inner === "" ? "" : `{${inner}}`} ${value}`;
}

function histogram(operation: string, figures: OperationFigures): string[] {
  const name = "holdfast_http_request_duration_seconds";
  return [
    ...durationBounds.map((bound, index) =>
      sample(`${name}_bucket`, { operation, le: String(bound) }, figures.buckets[index] ?? 0),
    ),
    sample(`${name}_bucket`, { operation, le: "+Inf" }, figures.count),
    sample(`${name}_sum`, { operation }, figures.durationSeconds),
    sample(`${name}_count`, { operation }, figures.count),
  ];
}
