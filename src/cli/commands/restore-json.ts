import type { EnvironmentId } from "../../base/index.ts";
import type { RestoreReport } from "../../engine/index.ts";
import { roundMilliseconds } from "../output/machine-numbers.ts";
import { holdJson } from "./hold-json.ts";

/** What a restore did, as data. */
export function restoreReportJson(
  report: RestoreReport,
  environment: EnvironmentId,
  into: string | undefined,
): Record<string, unknown> {
  return roundMilliseconds({
    backup: report.backup.id,
    environment,
    into: into ?? null,
    duration_ms: report.durationMs,
    hold: holdJson(report.hold),
    components: report.components.map(({ source, stage, swap }) => ({
      source,
      files: stage.files,
      bytes: stage.bytes,
      reused_bytes: stage.reusedBytes,
      swap_ms: swap?.durationMs ?? null,
      swap_facts: swap?.facts ?? null,
    })),
    warnings: report.warnings.map((warning) => ({
      source: warning.source,
      kind: warning.kind,
      message: warning.message,
      facts: warning.facts ?? {},
    })),
  });
}
