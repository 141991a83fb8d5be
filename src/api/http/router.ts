import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import type { Method, Operation } from "../../contract/index.ts";
import { withoutNul } from "./nul.ts";

interface Route<Name extends string> {
  readonly name: Name;
  readonly method: Method;
  readonly pattern: RegExp;
  readonly parameters: readonly string[];
}

export interface RouteMatch<Name extends string> {
  readonly name: Name;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Finds the operation that a request means. Of several that fit, the first in the table. */
export class Router<Name extends string> {
  readonly #routes: readonly Route<Name>[];

  constructor(operations: Readonly<Record<Name, Pick<Operation, "path" | "method">>>) {
    this.#routes = Object.entries<Pick<Operation, "path" | "method">>(operations).map(([name, { path, method }]) => ({
      name: name as Name,
      method,
      pattern: patternOf(path),
      parameters: Array.from(path.matchAll(/\{(\w+)\}/g), ([, parameter = ""]) => parameter),
    }));
  }

  /**
   * @param method as in the request; HEAD is GET
   * @param path as in the request, still encoded, without the query
   * @throws HoldfastError REQUEST_UNKNOWN, METHOD_NOT_ALLOWED with the fact `allow`, INPUT_INVALID for a wrong encoding
   */
  match(method: string, path: string): RouteMatch<Name> {
    const fitting = this.#routes.flatMap((route) => {
      const found = route.pattern.exec(path);
      return found === null ? [] : [{ route, found }];
    });
    const wanted = method === "HEAD" ? "GET" : method;
    const match = fitting.find(({ route }) => route.method === wanted);
    if (match !== undefined) {
      const { name, parameters } = match.route;
      return {
        name,
        parameters: Object.fromEntries(
          parameters.map((parameter, index) => [parameter, decoded(match.found[index + 1] ?? "")]),
        ),
      };
    }
    if (fitting.length === 0) {
      throw new HoldfastError("REQUEST_UNKNOWN", "There is nothing at this path.", {
        remedy: "See what there is: GET /openapi.json",
      });
    }
    const allow = [...new Set(fitting.map(({ route }) => route.method))].toSorted().join(", ");
    throw new HoldfastError("METHOD_NOT_ALLOWED", `This path takes ${allow}, not ${method}.`, { facts: { allow } });
  }
}

/**
 * A parameter is one segment, except an environment, whose id may have slashes that one client sends as they are and another
 * encodes. A slash at the end does not matter.
 */
function patternOf(path: string): RegExp {
  const source = path
    .split(/(\{\w+\})/)
    .map((part) => {
      if (part === "{environment}") return "([^/]+(?:/[^/]+)*?)";
      return part.startsWith("{") ? "([^/]+)" : part.replaceAll(".", "\\.");
    })
    .join("");
  return new RegExp(`^${source}/?$`);
}

function decoded(text: string): string {
  try {
    return withoutNul(decodeURIComponent(text));
  } catch (error) {
    if (isHoldfastError(error)) throw error;
    // The one thing that it throws is a URIError.
    throw new HoldfastError("INPUT_INVALID", "The path has a percent sign that begins no encoded character.");
  }
}
