import { describe, expect, test } from "vitest";
import type { BackupId, Clock, SourceId } from "../../base/index.ts";
import type { EngineEvent } from "../../engine/index.ts";
import { JsonProgress } from "./json-progress.ts";
import { PlainProgress } from "./plain-progress.ts";
import { cutToWidth, TerminalProgress } from "./terminal-progress.ts";
import { wrapLine } from "./wrap-line.ts";

/** A clock that a test moves. */
function handClock(): { readonly clock: Clock; readonly advance: (ms: number) => void } {
  let ms = 0;
  return {
    clock: { now: () => new Date(1_795_000_000_000 + ms), monotonicMs: () => ms },
    advance: (more) => void (ms += more),
  };
}

const progress = (files: number, bytes: number, expectedBytes?: number): EngineEvent => ({
  type: "progress",
  phase: "prepare",
  source: undefined,
  files,
  bytes,
  expectedFiles: undefined,
  expectedBytes,
});
const started: EngineEvent = { type: "phase-started", phase: "prepare" };
const ended: EngineEvent = { type: "phase-ended", phase: "prepare", durationMs: 4700 };
const figures = { drainMs: 38, heldMs: 212, requestsHeld: 31, longestWaitMs: 214, requestsFailed: 0 };
const frozen: EngineEvent = {
  type: "frozen",
  source: "mount:app/media" as SourceId,
  point: { at: new Date(0), durationMs: 140, facts: { filesChanged: 17 } },
};

describe("progress in a pipe", () => {
  test("is whole lines: start, end, and a word every ten seconds", () => {
    const lines: string[] = [];
    const { clock, advance } = handClock();
    const display = new PlainProgress((line) => void lines.push(line), clock);
    display.show(started);
    for (let second = 0; second < 21; second += 1) {
      advance(1000);
      display.show(progress(second * 10, second * 1_000_000, 40_000_000));
    }
    display.show(ended);
    expect(lines).toEqual([
      "prepare: started",
      "prepare: 90 files, 9.0 MB, 22 %, 900 kB/s, about 34.4 s left",
      "prepare: 190 files, 19 MB, 47 %, 950 kB/s, about 22.1 s left",
      "prepare: done in 4.7 s, 200 files, 20 MB",
    ]);
  });

  test("tells the hold with its figures and each freeze point", () => {
    const lines: string[] = [];
    const display = new PlainProgress((line) => void lines.push(line), handClock().clock);
    display.show({ type: "phase-started", phase: "hold" });
    display.show(frozen);
    display.show({ type: "held", figures });
    display.show({ type: "phase-ended", phase: "hold", durationMs: 250 });
    expect(lines).toEqual([
      "hold: started",
      "hold: drained in 38 ms, held 212 ms: 31 requests waited (longest 214 ms), 0 failed",
      "hold: done in 250 ms, media 140 ms (17 files changed meanwhile)",
    ]);
  });
});

test("what a backup replaced is told once, when it is replaced", () => {
  const backup = "shop-main-1" as BackupId;
  const replaced: EngineEvent = { type: "replaced", backup, createdAt: new Date("2026-11-14T04:12:00Z") };
  const lines: string[] = [];
  new PlainProgress((line) => void lines.push(line), handClock().clock).show(replaced);
  expect(lines).toEqual([expect.stringContaining(`replaced ${backup} of `)]);
});

describe("progress on a terminal", () => {
  const draw = (events: readonly EngineEvent[], width = 80): string => {
    let text = "";
    const { clock, advance } = handClock();
    const display = new TerminalProgress({
      write: (more) => void (text += more),
      width: () => width,
      colour: false,
      clock,
    });
    for (const event of events) {
      advance(1000);
      display.show(event);
    }
    display.finish();
    return text;
  };

  /** What is left on the screen: a carriage return with "erase line" starts a line again. */
  const screen = (text: string): string =>
    text
      .split("\n")
      .map((line) => line.split("\r\u001b[2K").at(-1) ?? "")
      .join("\n");

  test("redraws one line a phase and leaves the picture of the reference", () => {
    const events: EngineEvent[] = [
      started,
      progress(1000, 100_000_000, 1_900_000_000),
      progress(48_213, 1_900_000_000, 1_900_000_000),
      ended,
      { type: "phase-started", phase: "hold" },
      frozen,
      { type: "held", figures },
      { type: "phase-ended", phase: "hold", durationMs: 250 },
    ];
    const text = draw(events, 120);
    expect(screen(text)).toBe(
      [
        "  prepare  ━━━━━━━━━━━━━━━━━━━━━━━━  48,213 files  1.9 GB  404 MB/s",
        "  hold     drained in 38 ms, held 212 ms: 31 requests waited (longest 214 ms), 0 failed",
        "           media 140 ms (17 files changed meanwhile)",
        "",
      ].join("\n"),
    );
    expect(text).toContain("━─");
    expect(screen(draw(events, 80))).toContain(
      "31 requests waited (longest 214 ms),\n           0 failed\n           media 140 ms",
    );
  });

  test("never draws a line that would wrap", () => {
    const text = draw([started, progress(48_213, 1_000_000_000, 1_900_000_000)], 40);
    for (const line of text.replaceAll("\r\u001b[2K", "\n").split("\n")) expect(line.length).toBeLessThanOrEqual(39);
    expect(cutToWidth("\u001b[32mabc\u001b[0mdef", 4)).toBe("\u001b[32mabc\u001b[0md");
  });

  test("leaves no half-drawn line when the operation fails", () => {
    expect(screen(draw([started, progress(1, 1)]))).toBe("");
  });
});

test("progress for programs is one JSON object a line", () => {
  const lines: string[] = [];
  const display = new JsonProgress((line) => void lines.push(line), handClock().clock);
  display.show(frozen);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    type: "frozen",
    source: "mount:app/media",
    point: { durationMs: 140 },
  });
});

test("a finished line that does not fit goes on beneath its first part", () => {
  const line = "  store    \u001b[32m━━━━\u001b[0m  code 83 kB · media 90 MB · shipments 1.3 kB · cache 144 B";
  expect(wrapLine(line, 80)).toBe(line);
  expect(wrapLine(line, 50)).toBe(
    "  store    \u001b[32m━━━━\u001b[0m  code 83 kB · media 90 MB ·\n           shipments 1.3 kB · cache 144 B",
  );
  expect(wrapLine("  hold     drained in 38 ms, held 212 ms: 31 waited, 0 failed", 45)).toBe(
    "  hold     drained in 38 ms,\n           held 212 ms: 31 waited, 0 failed",
  );
  expect(wrapLine("  a part that is too long stays whole", 10)).toBe("  a part that is too long stays whole");
});
