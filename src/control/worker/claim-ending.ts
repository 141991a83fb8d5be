import { type HoldfastError, isHoldfastError, messageOf } from "../../base/index.ts";
import type { Claim, ClaimEnd } from "../activities/activity-queue.ts";
import { systemActor } from "../activities/create-activity.ts";

/** Why what an activity did was stopped from outside. */
export type StoppedBy = "cancellation" | "shutdown" | undefined;

/** What becomes of an activity that did not do what it should: it ends, or is given back to be taken up again. */
export type ClaimEnding =
  | { readonly kind: "end"; readonly end: ClaimEnd }
  | {
      readonly kind: "release";
      readonly availableAfterMs: number;
      /** Something of it may still be in the state folder. */
      readonly stays: boolean;
      /** For the log. */
      readonly message: string;
    };

const busyAgainAfterMs = 5000;
const longestWaitMs = 600_000;
/** So many claims of one activity may end without it having been undone; then a person has to look. */
const mostClaims = 20;

/** `recovering`: it failed while what a lost worker had begun was to be undone or finished. */
export function endingAfter(
  error: unknown,
  claim: Claim,
  { stoppedBy, recovering }: { readonly stoppedBy: StoppedBy; readonly recovering: boolean },
): ClaimEnding {
  if (isHoldfastError(error, "ENVIRONMENT_BUSY")) {
    return {
      kind: "release",
      availableAfterMs: busyAgainAfterMs,
      stays: claim.wasBegun,
      message: `It waits: ${error.message}`,
    };
  }
  // Whatever was the reason: something is half done, and must be undone before anybody says that it ended.
  const isUndone = !isHoldfastError(error, "RECOVERY_FAILED") && !(recovering && isPassing(error));
  if (!isUndone && claim.fence < mostClaims) {
    return {
      kind: "release",
      availableAfterMs: Math.min(longestWaitMs, busyAgainAfterMs * 2 ** Math.min(claim.fence, 10)),
      stays: true,
      message: `It is tried again: ${messageOf(error)}`,
    };
  }
  if (isUndone && stoppedBy === "shutdown") {
    return { kind: "release", availableAfterMs: 0, stays: true, message: "The worker was stopped; it begins again." };
  }
  if (isUndone && stoppedBy === "cancellation") {
    return { kind: "end", end: { result: "failure", outcome: "cancelled", messages: [line("It was cancelled.")] } };
  }
  if (claim.activity.createdBy === systemActor.id && isHoldfastError(error, "ENVIRONMENT_INACTIVE")) {
    return {
      kind: "end",
      end: { result: "failure", outcome: "skipped", messages: [line(`It was skipped: ${error.message}`)] },
    };
  }
  return { kind: "end", end: failed(error) };
}

/** Its workers died over it again and again, and what they began is undone. */
export function lostEnd(claim: Claim): ClaimEnd {
  const message = `Its worker died ${claim.losses} times. What was begun has been undone.`;
  return {
    result: "failure",
    outcome: "lost",
    failure: { code: "LEASE_LOST", message },
    messages: [line(message)],
  };
}

function failed(error: unknown): ClaimEnd {
  const { code, message, remedy } = isHoldfastError(error)
    ? error
    : { code: "INTERNAL", message: messageOf(error), remedy: undefined };
  return {
    result: "failure",
    outcome: "failed",
    failure: { code, message },
    ...(remedy === undefined ? {} : { payload: { failure_remedy: remedy } }),
    messages: [line(`It failed: ${message}${remedy === undefined ? "" : `\n  ${remedy}`}   [${code}]`)],
  };
}

const isPassing = (error: unknown): error is HoldfastError => isHoldfastError(error) && error.info.retry === "later";

const line = (text: string): string => `${text}\n`;
