import type { BackupId, SourceId } from "../base/index.ts";
import type { FreezePoint, SwapReport, Warning } from "../component/index.ts";
import type { HoldFigures } from "../gateway/index.ts";

/** backup: prepare, hold, store; restore: stage, hold, settle; recover before either, if something was left behind. */
export type Phase = "recover" | "prepare" | "hold" | "store" | "stage" | "settle";

/** What an operation tells while it runs, for progress on a terminal or lines of JSON. */
export type EngineEvent =
  | { readonly type: "phase-started"; readonly phase: Phase }
  | {
      readonly type: "progress";
      readonly phase: Phase;
      readonly source: SourceId | undefined;
      /** Totals of the phase so far. */
      readonly files: number;
      readonly bytes: number;
      readonly expectedFiles: number | undefined;
      readonly expectedBytes: number | undefined;
    }
  | { readonly type: "phase-ended"; readonly phase: Phase; readonly durationMs: number }
  | { readonly type: "held"; readonly figures: HoldFigures }
  | { readonly type: "frozen"; readonly source: SourceId; readonly point: FreezePoint }
  | { readonly type: "swapped"; readonly source: SourceId; readonly report: SwapReport }
  | { readonly type: "stored"; readonly source: SourceId; readonly files: number; readonly bytes: number }
  /** After a backup: an older manual one that its place was needed for is gone (spec C7). */
  | { readonly type: "replaced"; readonly backup: BackupId; readonly createdAt: Date }
  | { readonly type: "recovered"; readonly operation: string; readonly outcome: string }
  | { readonly type: "warning"; readonly source: SourceId | undefined; readonly warning: Warning };
