import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import { withoutNul } from "./nul.ts";

/** @throws HoldfastError INPUT_INVALID, with line and column as far as they are known; nothing of the text itself */
export function parseJson(text: string): unknown {
  if (isDeep(text)) {
    throw new HoldfastError("INPUT_INVALID", `The body is nested more than ${deepest} levels deep.`, {
      remedy: "Nothing that this server takes is: see GET /openapi.json",
    });
  }
  try {
    return JSON.parse(text, (key, value: unknown) => {
      withoutNul(key);
      return typeof value === "string" ? withoutNul(value) : value;
    });
  } catch (error) {
    if (isHoldfastError(error)) throw error;
    const comma = trailingComma(text);
    if (comma !== undefined) {
      throw new HoldfastError(
        "INPUT_INVALID",
        `The body is not JSON: there is a comma too many ${placeOf(text, comma)}.`,
        {
          remedy: "In JSON no comma stands before a closing brace or bracket. Take it out.",
        },
      );
    }
    // Of the engine's message only the position: the rest quotes the body, which may hold a password.
    const position = /at position (\d+)/.exec(error instanceof Error ? error.message : "")?.[1];
    const where = position === undefined ? "" : ` ${placeOf(text, Number(position))}`;
    throw new HoldfastError("INPUT_INVALID", `The body is not JSON: it goes wrong${where === "" ? "" : where}.`, {
      remedy: "Send JSON, such as {}.",
    });
  }
}

/** Of brackets and braces in each other. What operations take has fewer than ten. */
const deepest = 100;

function isDeep(text: string): boolean {
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"?|[[\]{}]/gs)) {
    if (token === "[" || token === "{") depth += 1;
    else if (token === "]" || token === "}") depth -= 1;
    if (depth > deepest) return true;
  }
  return false;
}

const placeOf = (text: string, offset: number): string => {
  const before = text.slice(0, offset).split("\n");
  return `at line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
};

/** Where a comma stands before a closing brace or bracket, outside of texts. */
function trailingComma(text: string): number | undefined {
  // A text that is never closed goes to the end: were the quote needed, each of its quotes would be tried as a beginning.
  for (const token of text.matchAll(/"(?:[^"\\]|\\.)*"?|,(?=\s*[}\]])/gs)) {
    if (token[0] === ",") return token.index;
  }
  return undefined;
}
