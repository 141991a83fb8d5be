/** What a program does about an error: `never` retry, retry `later`, or after somebody `fixed` something. */
export type Retry = "never" | "later" | "fixed";

export interface ErrorCodeInfo {
  readonly retry: Retry;
  /** HTTP status the API answers with. */
  readonly http: number;
  /** Exit code of the CLI (`reference/config-and-cli.md`). */
  readonly exit: number;
  /** One sentence for docs/errors.md, which a test holds equal to this table. */
  readonly meaning: string;
}

const code = (retry: Retry, http: number, exit: number, meaning: string): ErrorCodeInfo => ({
  retry,
  http,
  exit,
  meaning,
});

/** Every error code. Keep each block in alphabetical order. */
export const errorCodes = {
  // General
  CONFIG_INVALID: code("fixed", 400, 4, "The configuration file is missing, unreadable or has a wrong entry."),
  INTERNAL: code("never", 500, 1, "A defect in Holdfast: something happened that the code holds impossible."),
  INTERRUPTED: code("later", 499, 130, "The operation was interrupted by a signal or cancelled, and undone."),
  INPUT_INVALID: code("fixed", 400, 1, "An argument or option of the command or request is wrong."),
  METHOD_NOT_ALLOWED: code("never", 405, 1, "The path of the API does not take this HTTP method."),
  OPERATION_UNSUPPORTED: code("never", 400, 1, "Upsun's API has this operation, but it has no meaning on this server."),
  REQUEST_TOO_LARGE: code("never", 413, 1, "The body of the request is larger than the server takes."),
  REQUEST_UNKNOWN: code("never", 404, 1, "The API has nothing at this path."),
  SERVER_ANSWER_INVALID: code(
    "fixed",
    502,
    5,
    "What answers at the server's address does not answer as a Holdfast server.",
  ),
  SERVER_UNREACHABLE: code("later", 503, 5, "The server does not answer, or there is none where one is needed."),
  STATE_UNUSABLE: code("fixed", 500, 1, "The state folder or the catalog cannot be created, read or written."),
  TIMEOUT: code("later", 504, 1, "Something did not finish within its time limit."),

  // Access
  ACCESS_DENIED: code("fixed", 403, 6, "The caller's roles do not allow this."),
  SIGN_IN_FAILED: code("fixed", 401, 6, "The token, or the user and password, are not known here or no longer valid."),
  SIGN_IN_REQUIRED: code("fixed", 401, 6, "The request has no valid access token."),
  TOKEN_NOT_FOUND: code("fixed", 404, 1, "The user has no API token of this id."),
  TOO_MANY_REQUESTS: code("later", 429, 1, "Too many attempts to sign in from this address or for this account."),
  USER_EXISTS: code("fixed", 409, 1, "There is a user of this e-mail address already."),
  USER_NOT_FOUND: code("fixed", 404, 1, "There is no user of this id or e-mail address."),

  // Storage
  STORAGE_DENIED: code("fixed", 502, 1, "The storage refused access to a file or folder."),
  STORAGE_EXISTS: code("never", 409, 1, "The storage already holds a file of this name; files are written once."),
  STORAGE_FULL: code("fixed", 507, 1, "The storage has no room left."),
  STORAGE_NOT_FOUND: code("never", 404, 1, "The storage does not hold this file."),
  STORAGE_RANGE: code("never", 416, 1, "A range beyond the end of a stored file was asked for."),
  STORAGE_TRANSIENT: code("later", 503, 1, "The storage failed in a way that may pass."),

  // Repository
  REPOSITORY_DAMAGED: code("fixed", 500, 1, "Data in the repository is missing or does not match its checksum."),
  REPOSITORY_EXISTS: code("never", 409, 1, "There is already a repository at this place."),
  REPOSITORY_LOCKED: code("later", 423, 11, "Another process holds a conflicting lock on the repository."),
  REPOSITORY_MISSING: code("fixed", 404, 10, "There is no repository at this place."),
  REPOSITORY_PASSWORD_WRONG: code("fixed", 403, 12, "No key of the repository opens with this password."),
  REPOSITORY_UNSUPPORTED: code("never", 501, 1, "The repository is of a version or form that this program cannot use."),

  // Sources and targets
  CODE_UNUSABLE: code("fixed", 422, 1, "The deployed code folder is missing or cannot be read."),
  COMMAND_FAILED: code("fixed", 422, 1, "A configured command or client tool exited with an error."),
  ENTRY_UNREADABLE: code("fixed", 422, 1, "A frozen file changed, or could not be read, while it was being stored."),
  ENTRY_UNSAFE: code("never", 422, 1, "An entry of a backup would be written outside its target or is malformed."),
  FREEZE_FAILED: code("later", 503, 1, "A component could not fix its point in time."),
  MOUNT_UNUSABLE: code("fixed", 422, 1, "A mount's folder is missing or cannot be read or written."),
  SERVICE_DATABASE_MISSING: code(
    "fixed",
    422,
    1,
    "The database named in the configuration does not exist on the server.",
  ),
  SERVICE_LOGIN_FAILED: code("fixed", 422, 1, "The service refused the user or the password."),
  SERVICE_PERMISSION_MISSING: code(
    "fixed",
    422,
    1,
    "The user may connect but lacks a right that the backup or restore needs.",
  ),
  SERVICE_STAGE_FAILED: code(
    "fixed",
    422,
    1,
    "A component's data could not be loaded beside the live data; nothing was changed.",
  ),
  SERVICE_SWAP_FAILED: code(
    "later",
    503,
    1,
    "Staged and live data could not be exchanged; everything was exchanged back.",
  ),
  SERVICE_UNREACHABLE: code("later", 503, 1, "The service does not answer at its address."),
  SERVICE_UNSUPPORTED: code("never", 501, 1, "The service's version, or something in its data, is not supported."),
  TARGET_FULL: code("fixed", 507, 1, "The disk that the data would be restored to or copied on has no room left."),
  TOOL_MISSING: code("fixed", 422, 1, "A client program that this service needs is not installed."),

  // Gateway
  GATEWAY_UNREACHABLE: code("later", 503, 1, "The environment's gateway does not answer on its control socket."),
  GATEWAY_BUSY: code("later", 409, 1, "Another process holds the gateway's requests at the moment."),
  HOLD_DEADLINE_PASSED: code(
    "later",
    503,
    1,
    "Requests did not drain, or the hold did not end, in time; the gateway released by itself.",
  ),
  HOLD_LOST: code("later", 503, 1, "The gateway released the hold before the freeze points were fixed."),

  // Activities
  ACTIVITY_NOT_CANCELLABLE: code("never", 400, 1, "The activity has ended, so it cannot be cancelled."),
  ACTIVITY_NOT_FOUND: code("fixed", 404, 1, "There is no activity with this id in the project."),
  LEASE_LOST: code(
    "later",
    409,
    1,
    "Another worker has taken up the activity, since this one was not heard of in time.",
  ),
  TOO_MANY_ACTIVITIES: code(
    "later",
    429,
    1,
    "So many activities wait for the environment or project that no more are taken.",
  ),
  WORKER_RUNNING: code("later", 409, 11, "Another process works on the activities of this state folder."),

  // Engine
  BACKUP_NOT_FOUND: code("fixed", 404, 1, "There is no backup with this id in the environment."),
  BACKUP_NOT_RESTORABLE: code("never", 409, 1, "This backup is marked as not restorable."),
  ENVIRONMENT_BUSY: code("later", 409, 1, "Another operation is running on this environment."),
  ENVIRONMENT_INACTIVE: code(
    "fixed",
    409,
    1,
    "Only an active environment can be backed up or restored; activate it first.",
  ),
  ENVIRONMENT_NOT_FOUND: code("fixed", 404, 1, "The configuration has no environment of this name."),
  ENVIRONMENT_IN_USE: code(
    "fixed",
    409,
    1,
    "The environment is in the configuration, or has backups or activities, so it is not removed from the catalog.",
  ),
  MANUAL_BACKUP_FORBIDDEN: code(
    "never",
    403,
    6,
    "The project's profile forbids manual backups on this type of environment.",
  ),
  PROJECT_NOT_FOUND: code("fixed", 404, 1, "The configuration has no project of this name."),
  RECOVERY_FAILED: code("fixed", 500, 1, "What an interrupted operation left behind could not be undone completely."),
  SOURCE_NOT_FOUND: code("fixed", 404, 1, "The backup or the environment has no component or path of this name."),
} as const satisfies Record<string, ErrorCodeInfo>;

export type ErrorCode = keyof typeof errorCodes;
