import { z } from "zod";
import type { Operation } from "../operation.ts";
import { revokeRequest, signInLinkInput, tokenRequest, tokenResponse, user } from "../shapes/access.ts";
import { named } from "../shapes/shape.ts";

const status = named("Status", z.strictObject({ status: z.literal("ok"), version: z.string() }));

/** The server itself, and signing in. */
export const serverOperations = {
  getHealth: {
    path: "/health",
    method: "GET",
    summary: "Does the process live?",
    tag: "server",
    audience: "anyone",
    answer: { status: 200, shape: status },
  },
  getReadiness: {
    path: "/ready",
    method: "GET",
    summary: "Can the process serve requests: does its catalog answer?",
    tag: "server",
    audience: "anyone",
    answer: { status: 200, shape: status },
  },
  getMetrics: {
    path: "/metrics",
    method: "GET",
    summary: "Metrics in Prometheus' text format, without names of projects or people",
    tag: "server",
    audience: "anyone",
    answer: { status: 200, text: "text/plain" },
  },
  getOpenApi: {
    path: "/openapi.json",
    method: "GET",
    summary: "This document",
    tag: "server",
    audience: "anyone",
    answer: { status: 200, text: "application/json" },
  },
  getSetupPage: {
    path: "/setup",
    method: "GET",
    summary: "The page behind one-time links, on which a person sets their password",
    tag: "sign-in",
    audience: "anyone",
    answer: { status: 200, text: "text/html" },
  },
  useSignInLink: {
    path: "/setup",
    method: "POST",
    summary: "Set the password of a one-time link's user, or become the first administrator",
    tag: "sign-in",
    audience: "anyone",
    body: signInLinkInput,
    form: true,
    answer: { status: 200, shape: user },
  },
  createAccessToken: {
    path: "/oauth2/token",
    method: "POST",
    summary: "Exchange an API token, a refresh token, or a user name and password for an access token",
    tag: "sign-in",
    audience: "anyone",
    body: tokenRequest,
    form: true,
    answer: { status: 200, shape: tokenResponse },
  },
  revokeToken: {
    path: "/oauth2/revoke",
    method: "POST",
    summary: "End a sign-in: its access token and its refresh token",
    tag: "sign-in",
    audience: "anyone",
    body: revokeRequest,
    form: true,
    answer: { status: 200, shape: named("Revoked", z.strictObject({})) },
  },
} as const satisfies Record<string, Operation>;
