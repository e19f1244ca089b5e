// SPDX-License-Identifier: MIT
// The ledger's verbs. Each row of LEDGER_VERBS defines one verb: its name, its kind (database.h) and its SQL. A verb's SQL is one
// statement, which runs as its own transaction. In a verb's SQL, `:name` is a parameter; a parameter without a value is NULL.
//
// A backend's dialect.h defines the following macros and then includes this file:
//   NOW                → the time, in seconds since 1970
//   IS                 → equality that holds for two NULLs, too
//   LARGER(a, b)       → the larger of two values, if neither is NULL
//   SESSION            → the number of this ledger's session
//   ALIVE(session)     → whether the session with this number is open
//   INPUT_FIELD(name)  → a field of the column `input`, of a row whose model is :model
//   PATH               → what a unique index on `path` indexes
//   ALSO, ALSO_VALUE   → further columns of an intent, and their values
//   UNLESS_LIVE        → ends an insert: nothing is inserted if another program has just inserted an equal submit
//   NOTIFY(text)       → in RETURNING: sends a text, unless it is NULL, to the programs that have the ledger open; empty for SQLite
//   SKIP_LOCKED        → ends a SELECT: leaves out rows that another program is changing at this moment
//   INDEXED_BY(index)  → after a table's name: the index to use, if the database would choose another one
//   CLAIM, RELEASE     → statements that record which session queries a task; nothing for SQLite
//   IS_ORPHANED        → whether no program queries the task of an accepted submit, because the program that did so has ended or stalled
//   BEGIN, CONTINUE_NUMBERS, COPIED_COLUMN, COPIED_VALUE → for the verbs that copy a ledger
//   VERSION_OF_SCHEMA, VERSION_OF_BACKEND, SESSIONS, LOCKS → statements that describe the ledger

// The number of a task's row: the parameter `id`, or else the latest row with this service and task id. ROW_OF_TASK doesn't compare
// accounts, since the user may have replaced the API key after the submit.
#define ROW_OF_TASK "(coalesce(:id, (SELECT max(id) FROM submit WHERE service " IS " :service AND task_id = :task_id)))"

// Two rows belong to the same scene when their identities and services are equal. All sandboxes count as one service.
#define SAME(service) "identity = :identity AND (sandbox = 1 OR service " IS " " service ")"

// True if the ledger contains sandbox submits and this submit is real, or the other way round. The database finds the minimum and the
// maximum of the column `sandbox` quickly, since the column has an index.
#define HAS_OTHER_KIND \
  "(coalesce((SELECT min(sandbox) FROM submit), coalesce(:sandbox, 0)) <> coalesce(:sandbox, 0)" \
  " OR coalesce((SELECT max(sandbox) FROM submit), coalesce(:sandbox, 0)) <> coalesce(:sandbox, 0))"

// While a scene has a live row, the ledger refuses any other submit for the same scene. A success stays live even after its media has
// expired ('gone'), until a person gives up the submit. Expired successes in a sandbox's ledger aren't live, since their media are lost
// when the sandbox ends.
#define LIVE "(state IN ('intended', 'unknown', 'accepted', 'success') OR state = 'gone' AND sandbox = 0)"

// A submit may cost money unless the service refused it. A submit that a person gave up ('forgotten') still counts as charged.
#define MAY_COST "state <> 'refused'"
#define GIVEN_UP_OR_REFUSED "('refused', 'forgotten')" // written exactly as in an index in schema.h, so that SQLite uses that index

// UNKNOWN is true for a submit with an unknown outcome. REPLACED is true for a submit with an unknown outcome that a person wants to
// replace: the submit's row is `instead_of` or an older row.
#define UNKNOWN "(state = 'unknown' OR state = 'intended' AND NOT " ALIVE("session") ")"
#define REPLACED ":instead_of IS NOT NULL AND id <= :instead_of AND " UNKNOWN

#define NOT_LIVE \
  "(:identity IS NULL OR NOT EXISTS (SELECT 1 FROM submit WHERE " SAME(":service") " AND " LIVE " AND NOT (" REPLACED ")))"
// An idempotency key belongs to one submit, unless the service refused that submit or a person gave it up. A failed submit keeps its key.
#define KEY_IS_FREE \
  "(:idempotency_key IS NULL OR NOT EXISTS (SELECT 1 FROM submit WHERE idempotency_key = :idempotency_key" \
  " AND state NOT IN " GIVEN_UP_OR_REFUSED "))"
// A task that ended together with its sandbox has no reported cost, and costs nothing.
#define ENDED_WITH_SANDBOX "(sandbox = 1 AND state = 'gone')"
// True for an unfinished submit to a rehearsal's sandbox (`omni run --sandbox`) if the rehearsal's process has ended. The sandbox of a
// rehearsal ends together with the rehearsal's process.
#define LOST_REHEARSAL "(sandbox = 1 AND state IN ('intended', 'unknown', 'accepted') AND NOT " ALIVE("session") ")"
#define COST_OF_BOARD(board) \
  "(SELECT coalesce(sum(coalesce(credits, CASE WHEN NOT " ENDED_WITH_SANDBOX " THEN estimate END, 0)), 0) FROM submit WHERE board = " board \
  " AND " MAY_COST ")"
#define IN_BUDGET "(:budget IS NULL OR :budget + 1e-9 >= coalesce(:estimate, 0) + " COST_OF_BOARD(":board") ")"

// The condition for rows that occupy one of an API key's slots. A task occupies a slot for at most one hour, and a submit without a
// response for at most half an hour. HAS_FREE_SLOT is true if the API key has a free slot for another task.
#define IN_FLIGHT \
  "account = :account AND (state = 'accepted' AND intended_at > " NOW " - 3600" \
  " OR state IN ('intended', 'unknown') AND intended_at > " NOW " - 1800)"
#define HAS_FREE_SLOT "(:in_flight IS NULL OR :in_flight > (SELECT count(*) FROM submit WHERE " IN_FLIGHT "))"

// An account's row tells all programs that share the ledger how long an API key's requests must pause after a 429 response. If a pause
// seems to begin in the future, it is ignored, since a clock has probably jumped backwards.
#define PAUSE_LEFT "CASE WHEN account.paused_at <= " NOW " THEN account.paused_at + account.pause - " NOW " END"
#define IS_PAUSED "EXISTS (SELECT 1 FROM account WHERE account.account = :account AND " PAUSE_LEFT " > 0)"

// Returns three sums for each account: the credits that the service has reported, the estimates of all other submits, and `given_up`. The
// sum `given_up` contains the credits or estimates of the submits that a person has given up. All sandboxes count as one account.
// `account_prefix` is the prefix of the open sandbox's accounts; the estimates of other sandboxes don't count, since their tasks have
// ended. The parameter `rehearsals` isn't NULL if the ledger's sandboxes end together with their processes.
#define SPENT(condition) \
  "SELECT CASE WHEN sandbox = 1 THEN 'sandbox' ELSE account END AS account, coalesce(sum(credits), 0.0) AS credits, count(*) AS submits," \
  " coalesce(sum(CASE WHEN credits IS NULL AND NOT " ENDED_WITH_SANDBOX \
  " AND NOT (sandbox = 1 AND :account_prefix IS NOT NULL AND substr(account, 1, length(:account_prefix)) <> :account_prefix)" \
  " AND NOT (:rehearsals IS NOT NULL AND " LOST_REHEARSAL ")" \
  " THEN estimate END), 0.0) AS estimated," \
  " coalesce(sum(CASE WHEN state = 'forgotten' THEN coalesce(credits, estimate) END), 0.0) AS given_up FROM submit WHERE " MAY_COST \
  condition " AND (:since IS NULL OR intended_at >= :since) GROUP BY 1 ORDER BY 1"

#define LACKS_FILES \
  "state = 'success' AND (SELECT count(*) FROM file WHERE file.submit = submit.id) < " LARGER("coalesce(media, 1)", "1")

// Selects a submit's columns. A submit's state is 'unknown' if the process died after writing the intent and before recording the response.
#define SUBMIT \
  "SELECT id, account, sandbox, board, scene, identity, base, take, form, model, input," \
  " CASE WHEN state = 'intended' AND NOT " ALIVE("session") " THEN 'unknown' ELSE state END AS state," \
  " task_id, status, estimate, credits, balance_before, balance_after, error, message," \
  " intended_at, answered_at, ended_at, created_at, completed_at, seconds, media, token, callback_task_id, service, tag, idempotency_key" \
  " FROM submit"

// Selects all columns that a copy of a ledger needs.
#define SUBMIT_OF_COPY \
  "SELECT id, " \
    "account, service, sandbox, board, scene, identity, base, take, form, model, input, " \
    "CASE WHEN state = 'intended' AND NOT " ALIVE("session") " THEN 'unknown' ELSE state END AS state, task_id, status, token, " \
    "callback_task_id, estimate, credits, balance_before, balance_after, error, message, intended_at, answered_at, ended_at, " \
    "created_at, completed_at, seconds, media, tag, idempotency_key FROM submit"

// A program has a lease on the tasks that it has claimed and on its job. A lease ends this many seconds after it was last renewed, so that
// a stalled program loses its tasks and its job.
#define LEASE "60"

// A job is a board that any worker may run. A worker may take a job that is waiting, or whose worker has ended or stalled. The time
// `taken_at` distinguishes the worker that took a job from a later worker with the same session.
#define JOB_IS_FREE "(state = 'waiting' OR state = 'running' AND (NOT " ALIVE("session") " OR kept_until < " NOW "))"
#define IS_MY_JOB "id = :id AND state = 'running' AND session = " SESSION " AND (:taken_at IS NULL OR taken_at = :taken_at)"
#define JOB \
  "SELECT id, service, board, title, budget, CASE WHEN " JOB_IS_FREE " THEN 'waiting' ELSE state END AS state, worker, scenes, finished, error," \
  " message, film, submitted_at, taken_at, ended_at"

#define LEDGER_VERBS(X) \
  /* Writes the intent of a submit. Returns no row when an equal submit or one with the same idempotency key is live, the board's \
     budget is too small, or the API key is paused or has no free slot. `instead_of`: the row with an unknown outcome that a person wants \
     to submit again. */ \
  X(intend, MONEY, \
    "INSERT INTO submit (account, service, sandbox, board, scene, identity, base, take, form, model, input, state, session, estimate," \
    " balance_before, token, tag, idempotency_key, intended_at" ALSO ") SELECT :account, :service, coalesce(:sandbox, 0), :board, :scene," \
    " :identity, :base, :take, :form, :model, :input, 'intended', " SESSION ", :estimate, :balance_before, :token, :tag, :idempotency_key," \
    " " NOW ALSO_VALUE " WHERE " NOT_LIVE " AND " KEY_IS_FREE " AND " IN_BUDGET " AND " HAS_FREE_SLOT " AND NOT " IS_PAUSED \
    " AND NOT " HAS_OTHER_KIND " " UNLESS_LIVE " RETURNING id") \
  /* Writes the intent of another attempt, after one that was refused or certainly not sent. Checks the same conditions as `intend`. */ \
  X(retry, MONEY, \
    "UPDATE submit SET state = 'intended', account = :account, session = " SESSION ", balance_before = :balance_before, error = NULL," \
    " message = NULL, answered_at = NULL, intended_at = " NOW " WHERE id = :id AND state = 'refused'" \
    " AND " NOT_LIVE " AND " KEY_IS_FREE " AND " IN_BUDGET " AND " HAS_FREE_SLOT " AND NOT " IS_PAUSED " RETURNING id") \
  /* The verbs that change a submit's state return its id, or no row when its state doesn't allow the change. */ \
  /* May be repeated with the same task id, since a caller can't know whether an attempt that ended with an error was committed. */ \
  X(accept, OUTCOME, \
    "UPDATE submit SET state = 'accepted', task_id = :task_id, answered_at = " NOW " WHERE id = :id" \
    " AND (state IN ('intended', 'unknown') OR state = 'accepted' AND task_id = :task_id) RETURNING id") \
  X(refuse, OUTCOME, \
    "UPDATE submit SET state = 'refused', error = :error, message = :message, answered_at = " NOW " WHERE id = :id" \
    " AND state = 'intended' RETURNING id") \
  X(mark_unknown, OUTCOME, \
    "UPDATE submit SET state = 'unknown', error = :error, message = :message, balance_after = :balance_after, answered_at = " NOW \
    " WHERE id = :id AND state IN ('intended', 'unknown') RETURNING id") \
  /* Marks a submit of this session as unknown. Used if no code is working on the submit any longer. */ \
  X(abandon, MONEY, \
    "UPDATE submit SET state = 'unknown', error = 'cancelled', message = :message, answered_at = " NOW \
    " WHERE id = :id AND state = 'intended' AND session = " SESSION " RETURNING id") \
  /* Records a task's end. Whatever a later query reports, the first final state stays, the credits never decrease, and no known value \
     is lost. Sets the account to that of the key with which the service returned the task. */ \
  X(finish, OUTCOME, \
    "UPDATE submit SET account = coalesce(:account, account), credits = coalesce(" LARGER("credits", ":credits") ", credits, :credits)," \
    " created_at = coalesce(created_at, :created_at), completed_at = coalesce(completed_at, :completed_at)," \
    " seconds = coalesce(seconds, :seconds), media = " LARGER("coalesce(media, 0)", "coalesce(:media, 0)") "," \
    " error = CASE state WHEN 'accepted' THEN :error ELSE error END, message = CASE state WHEN 'accepted' THEN :message ELSE message END," \
    " status = CASE state WHEN 'accepted' THEN :status ELSE status END, ended_at = coalesce(ended_at, " NOW ")," \
    " state = CASE state WHEN 'accepted' THEN :state ELSE state END" \
    " WHERE id = " ROW_OF_TASK " AND state IN ('accepted', 'success', 'failed', 'gone', 'forgotten') AND :state IN ('success', 'failed')" \
    " RETURNING id" NOTIFY("(CASE WHEN ended_at = " NOW " THEN 'task ' || task_id END)")) \
  /* Returns the tasks whose end was recorded in the last `seconds` seconds. */ \
  X(ended, MINOR, "SELECT task_id FROM submit " INDEXED_BY("submit_ended") " WHERE state IN ('success', 'failed') AND ended_at > " NOW " - :seconds") \
  /* Claims the tasks in `task_ids`, one per line; this session then queries them. Also renews the session's lease, without which its \
     claims don't count. Returns the unfinished tasks that another session has claimed. */ \
  X(claim, MINOR, CLAIM) \
  /* Gives up the claims to the tasks in `task_ids`, so that another session can claim them immediately. */ \
  X(release, MINOR, RELEASE) \
  /* Returns the unfinished tasks whose program has ended or stalled, and that no other session has claimed. */ \
  X(orphaned, MINOR, \
    SUBMIT " WHERE state = 'accepted' AND service " IS " :service AND " IS_ORPHANED " AND id > :after ORDER BY id LIMIT 100") \
  X(status, MINOR, \
    "UPDATE submit SET status = :status, account = coalesce(:account, account) WHERE id = " ROW_OF_TASK " AND state = 'accepted' RETURNING id") \
  X(row, MINOR, SUBMIT " WHERE id = :id") \
  X(by_identity, MINOR, SUBMIT " WHERE " SAME(":service") " ORDER BY id DESC") \
  X(live_with_key, MINOR, SUBMIT " WHERE idempotency_key = :idempotency_key AND state NOT IN " GIVEN_UP_OR_REFUSED) \
  /* The next verbs return one page of submits: those after the row `after`. */ \
  X(by_tag, MINOR, SUBMIT " WHERE tag = :tag AND id > :after ORDER BY id LIMIT 100") \
  X(by_idempotency_key, MINOR, SUBMIT " WHERE idempotency_key = :idempotency_key AND id > :after ORDER BY id LIMIT 100") \
  /* Returns submits that belong to no board, and whose task isn't over or whose outcome is unknown. */ \
  X(unfinished, MINOR, \
    SUBMIT " WHERE board IS NULL AND service " IS " :service AND (state = 'accepted' OR " UNKNOWN ") AND id > :after ORDER BY id LIMIT 100") \
  X(open, MINOR, SUBMIT " WHERE state IN ('intended', 'unknown', 'accepted') ORDER BY id") \
  X(lost_rehearsals, MINOR, "SELECT id FROM submit WHERE " LOST_REHEARSAL) \
  /* Gives up a submit, which only a person may decide. */ \
  X(forget, MONEY, \
    "UPDATE submit SET state = 'forgotten', ended_at = " NOW " WHERE id = :id" \
    " AND (state IN ('accepted', 'success', 'gone') OR " UNKNOWN ") RETURNING id") \
  /* Gives up the submits that a new submit replaces, once the new submit has been sent. */ \
  X(replace, MONEY, \
    "UPDATE submit SET state = 'forgotten', ended_at = " NOW " WHERE " SAME(":service") " AND " REPLACED " RETURNING id") \
  X(adopt, MONEY, \
    "UPDATE submit SET state = 'accepted', task_id = :task_id, answered_at = " NOW " WHERE id = :id AND " UNKNOWN \
    " AND NOT EXISTS (SELECT 1 FROM submit AS other WHERE other.service " IS " submit.service AND other.task_id = :task_id" \
    " AND other.state NOT IN " GIVEN_UP_OR_REFUSED ") RETURNING id") \
  /* Adds a task whose row was lost. Returns no row when an equal submit is live or the task already has a row. */ \
  X(adopt_lost, MONEY, \
    "INSERT INTO submit (account, service, sandbox, board, scene, identity, base, take, form, model, input, state, session, estimate," \
    " task_id, intended_at, answered_at) SELECT :account, :service, coalesce(:sandbox, 0), :board, :scene, :identity, :base, :take, :form," \
    " :model, :input, 'accepted', " SESSION ", :estimate, :task_id, " NOW ", " NOW " WHERE " NOT_LIVE \
    " AND NOT EXISTS (SELECT 1 FROM submit WHERE service " IS " :service AND task_id = :task_id AND state <> 'refused')" \
    " AND NOT " HAS_OTHER_KIND " " UNLESS_LIVE " RETURNING id") \
  /* Marks a successful task whose media have expired at the service, or a task that ended with its sandbox. */ \
  X(expire, MONEY, \
    "UPDATE submit SET state = 'gone' WHERE id = :id AND (state = 'success' OR state = 'accepted' AND sandbox = 1) RETURNING id") \
  X(expire_other_sandboxes, MINOR, \
    "UPDATE submit SET state = 'gone' WHERE sandbox = 1 AND substr(account, 1, length(:account_prefix)) <> :account_prefix" \
    " AND (state IN ('unknown', 'accepted')" \
    " OR state = 'intended' AND NOT " ALIVE("session") ")") \
  /* Returns a row if the ledger has submits of the other kind: real ones in a sandbox's ledger, or the reverse. */ \
  X(other_kind, MINOR, \
    "SELECT id FROM submit WHERE " HAS_OTHER_KIND " AND sandbox = 1 - coalesce(:sandbox, 0) LIMIT 1") \
  X(by_token, MINOR, SUBMIT " WHERE token = :token") \
  X(record_callback, MONEY, "UPDATE submit SET callback_task_id = :task_id WHERE token = :token AND state IN ('intended', 'unknown') RETURNING id") \
  X(unconfirmed_callbacks, MINOR, SUBMIT " WHERE callback_task_id IS NOT NULL AND state IN ('intended', 'unknown') ORDER BY id") \
  X(latest_take, MINOR, \
    "SELECT max(take) AS take FROM submit WHERE base = :base AND (sandbox = 1 OR service " IS " :service) AND state NOT IN " GIVEN_UP_OR_REFUSED) \
  X(begin_redo, MONEY, \
    "INSERT INTO redo (board, base, last_submit) SELECT :board, :base, coalesce(max(id), 0) FROM submit WHERE true ON CONFLICT DO NOTHING") \
  X(end_redo, MONEY, "DELETE FROM redo WHERE board = :board") \
  X(take_since_redo, MINOR, \
    "SELECT max(submit.take) AS take FROM submit JOIN redo ON redo.base = submit.base WHERE redo.board = :board AND redo.base = :base" \
    " AND submit.id > redo.last_submit AND (sandbox = 1 OR service " IS " :service) AND submit.state NOT IN " GIVEN_UP_OR_REFUSED) \
  X(last_of_scene, MINOR, \
    SUBMIT " WHERE board = :board AND scene = :scene AND (sandbox = 1 OR service " IS " :service) AND state <> 'refused' ORDER BY id DESC LIMIT 1") \
  X(by_task, MINOR, \
    SUBMIT " WHERE service " IS " :service AND task_id = :task_id ORDER BY id DESC") \
  /* Finds a submit by a row number or a task id that a person has given. */ \
  X(find, MINOR, SUBMIT " WHERE id = :id OR task_id = :task_id ORDER BY id DESC") \
  /* Returns the successful submits of all boards, or of one board, whose files are missing. */ \
  X(to_fetch, MINOR, SUBMIT " WHERE board IS NOT NULL AND " LACKS_FILES " ORDER BY id") \
  X(to_fetch_of_board, MINOR, SUBMIT " " INDEXED_BY("submit_scene") " WHERE board = :board AND " LACKS_FILES " ORDER BY id") \
  X(in_flight, MINOR, "SELECT id, task_id FROM submit WHERE " IN_FLIGHT) \
  /* Reserves the next start of a request with an API key, and returns the seconds until that start. All programs that share the ledger \
     together start at most one request every `interval` seconds. A time far in the future doesn't count, since a clock has jumped. */ \
  X(reserve_start, MINOR, \
    "INSERT INTO account (account, next_at) VALUES (:account, " NOW " + :interval) ON CONFLICT (account) DO UPDATE SET next_at =" \
    " CASE WHEN account.next_at BETWEEN " NOW " AND " NOW " + 100 * :interval THEN account.next_at ELSE " NOW " END + :interval" \
    " RETURNING next_at - :interval - " NOW " AS wait") \
  /* Begins or prolongs a pause of all requests with an API key. Returns how many seconds of the pause are left. */ \
  X(pause_account, MINOR, \
    "INSERT INTO account (account, paused_at, pause) VALUES (:account, " NOW ", :seconds) ON CONFLICT (account) DO UPDATE SET" \
    " pause = " LARGER("excluded.pause", "coalesce(" PAUSE_LEFT ", 0)") ", paused_at = excluded.paused_at RETURNING pause" \
    NOTIFY("'account'")) \
  /* Records that the service refuses an API key, and why. */ \
  X(disable_account, MINOR, \
    "INSERT INTO account (account, disabled_at, disabled, message) VALUES (:account, " NOW ", :error, :message)" \
    " ON CONFLICT (account) DO UPDATE SET disabled_at = excluded.disabled_at, disabled = excluded.disabled, message = excluded.message" \
    " RETURNING account" NOTIFY("'account'")) \
  /* Returns how long an API key's requests must pause, and whether and why the service refuses the key. */ \
  X(account, MINOR, \
    "SELECT " PAUSE_LEFT " AS pause, disabled, message, " NOW " - disabled_at AS disabled_for FROM account WHERE account = :account") \
  /* Returns, by account, what all submits, or those of one board, have cost (SPENT). */ \
  X(spent, MINOR, SPENT("")) \
  X(spent_of_board, MINOR, SPENT(" AND board = :board")) \
  /* Returns the seconds from creation to end of the last tasks with this model, duration and resolution, the shortest first. The CASE makes \
     PostgreSQL assume that many tasks match, so that it reads the latest ones and stops, instead of reading and sorting all of them. */ \
  X(durations, MINOR, \
    "SELECT took, id FROM (SELECT coalesce(completed_at - created_at, seconds) AS took, id FROM submit WHERE model = :model" \
    " AND state = 'success' AND CASE WHEN " INPUT_FIELD("duration") IS " :duration THEN " INPUT_FIELD("resolution") IS " :resolution END" \
    " ORDER BY id DESC LIMIT 100) AS latest WHERE took BETWEEN 0 AND 86400 ORDER BY took, id") \
  X(remember_file, OUTCOME, \
    "INSERT INTO file (submit, number, path, sha256, size, at) SELECT id, :number, :path, :sha256, :size, " NOW " FROM submit" \
    " WHERE id = " ROW_OF_TASK " ON CONFLICT (submit, number) DO UPDATE SET path = excluded.path, sha256 = excluded.sha256, size = excluded.size," \
    " at = excluded.at") \
  X(move_file, MINOR, \
    "UPDATE file SET path = :path WHERE submit = :id AND number = :number") \
  /* Records that the file's recorded bytes aren't the task's result. */ \
  X(invalidate_file, MONEY, \
    "UPDATE file SET sha256 = 'void:' || sha256 WHERE submit = :id AND number = :number AND sha256 NOT LIKE 'void:%'") \
  X(files, MINOR, "SELECT number, path, sha256, size, at FROM file WHERE submit = :submit ORDER BY number") \
  /* Returns the files of a board's tasks. */ \
  X(files_of_board, MINOR, \
    "SELECT scene, path, sha256, file.at FROM file JOIN submit ON submit.id = file.submit WHERE board = :board ORDER BY submit, number") \
  X(digest, MINOR, "SELECT stamp, sha256, size, at FROM digest WHERE path = :path") \
  X(remember_digest, MINOR, \
    "INSERT INTO digest (path, stamp, sha256, size, at) VALUES (:path, :stamp, :sha256, :size, " NOW ")" \
    " ON CONFLICT (" PATH ") DO UPDATE SET stamp = excluded.stamp, sha256 = excluded.sha256, size = excluded.size, at = excluded.at") \
  X(upload, MINOR, "SELECT url, at FROM upload WHERE account = :account AND sha256 = :sha256") \
  X(remember_upload, MINOR, \
    "INSERT INTO upload (account, sha256, url, at) VALUES (:account, :sha256, :url, " NOW ")" \
    " ON CONFLICT (account, sha256) DO UPDATE SET url = excluded.url, at = excluded.at") \
  X(film, MINOR, "SELECT identity, sha256, at FROM film WHERE path = :path") \
  /* Returns a row if a run has written a file with these bytes: a film, a poster or a report. */ \
  X(made_file, MINOR, "SELECT path FROM film WHERE sha256 = :sha256 LIMIT 1") \
  /* Returns the files that runs have written into a folder: films, posters and reports. */ \
  X(films_in, MINOR, "SELECT path, sha256 FROM film WHERE substr(path, 1, length(:folder) + 1) = :folder || '/' ORDER BY path") \
  X(remember_film, MINOR, \
    "INSERT INTO film (path, identity, sha256, at) VALUES (:path, :identity, :sha256, " NOW ")" \
    " ON CONFLICT (" PATH ") DO UPDATE SET identity = excluded.identity, sha256 = excluded.sha256, at = excluded.at") \
  X(add_job, MONEY, \
    "INSERT INTO job (service, board, title, manifest, budget, scenes, state, session, submitted_at)" \
    " VALUES (:service, :board, :title, :manifest, :budget, :scenes, 'waiting', 0, " NOW ") RETURNING id") \
  /* Gives a service's next free job to this session, and returns its id. A job that was put back waits behind all other jobs. */ \
  X(take_job, MONEY, \
    "UPDATE job SET state = 'running', session = " SESSION ", worker = :worker, taken_at = " NOW ", kept_until = " NOW " + " LEASE \
    " WHERE " JOB_IS_FREE " AND id =" \
    " (SELECT id FROM job WHERE service = :service AND " JOB_IS_FREE " ORDER BY coalesce(taken_at, submitted_at), taken_at IS NOT NULL, id LIMIT 1" SKIP_LOCKED ")" \
    " RETURNING id") \
  /* Records a job's progress, and renews the worker's lease. This verb and `end_job` return no row if the job no longer belongs to this \
     worker, because a person has cancelled it or another worker has taken it. */ \
  X(keep_job, MINOR, \
    "UPDATE job SET scenes = :scenes, finished = :finished, kept_until = " NOW " + " LEASE " WHERE " IS_MY_JOB " RETURNING id") \
  /* Ends a job, or puts it back if the state is 'waiting'. */ \
  X(end_job, OUTCOME, \
    "UPDATE job SET state = :state, error = :error, message = :message, film = :film, result = :result," \
    " finished = coalesce(:finished, finished), ended_at = CASE WHEN :state <> 'waiting' THEN " NOW " END WHERE " IS_MY_JOB " RETURNING id") \
  X(cancel_job, MONEY, \
    "UPDATE job SET state = 'cancelled', ended_at = " NOW " WHERE id = :id AND state IN ('waiting', 'running') RETURNING id") \
  X(job, MINOR, JOB ", manifest, result FROM job WHERE id = :id") \
  X(jobs, MINOR, JOB " FROM job WHERE id > :after ORDER BY id LIMIT 100") \
  X(version, MINOR, VERSION_OF_SCHEMA) \
  X(backend, MINOR, VERSION_OF_BACKEND) \
  /* Returns the sessions that the backend's SQL can list, and how many transactions hold or wait for one of the ledger's locks. */ \
  X(sessions, MINOR, SESSIONS) \
  X(locks, MINOR, LOCKS) \
  /* The next verbs copy a ledger into another one: `begin_copy`, then the rows, then `end_copy`, on a handle that runs no other verbs. An \
     intent whose process has died is copied as unknown. */ \
  X(all_submits, MINOR, SUBMIT_OF_COPY " WHERE id > :after ORDER BY id LIMIT 200") \
  X(all_files, MINOR, "SELECT submit, number, path, sha256, size, at FROM file WHERE submit > :after AND submit <= :last ORDER BY submit, number") \
  X(all_uploads, MINOR, "SELECT account, sha256, url, at FROM upload ORDER BY account, sha256") \
  X(all_films, MINOR, "SELECT path, identity, sha256, at FROM film ORDER BY path") \
  X(all_redos, MINOR, "SELECT board, base, last_submit FROM redo ORDER BY board, base") \
  X(all_jobs, MINOR, \
    "SELECT id, service, board, title, manifest, budget, state, worker, scenes, finished, error, message, film, result, submitted_at, taken_at," \
    " ended_at FROM job ORDER BY id") \
  X(begin_copy, MONEY, BEGIN) \
  X(copy_submit, MONEY, \
    "INSERT INTO submit (id, session" COPIED_COLUMN ", " \
    "account, service, sandbox, board, scene, identity, base, take, form, model, input, state, task_id, status, token, " \
    "callback_task_id, estimate, credits, balance_before, balance_after, error, message, intended_at, answered_at, ended_at, " \
    "created_at, completed_at, seconds, media, tag, idempotency_key" \
    ") SELECT :id, 0" COPIED_VALUE ", " \
    ":account, :service, :sandbox, :board, :scene, :identity, :base, :take, :form, :model, :input, :state, :task_id, :status, " \
    ":token, :callback_task_id, :estimate, :credits, :balance_before, :balance_after, :error, :message, :intended_at, :answered_at, " \
    ":ended_at, :created_at, :completed_at, :seconds, :media, :tag, :idempotency_key") \
  X(copy_file, MONEY, \
    "INSERT INTO file (submit, number, path, sha256, size, at) VALUES (:submit, :number, :path, :sha256, :size, :at)") \
  X(copy_upload, MONEY, "INSERT INTO upload (account, sha256, url, at) VALUES (:account, :sha256, :url, :at)") \
  X(copy_film, MONEY, "INSERT INTO film (path, identity, sha256, at) VALUES (:path, :identity, :sha256, :at)") \
  X(copy_redo, MONEY, "INSERT INTO redo (board, base, last_submit) VALUES (:board, :base, :last_submit)") \
  X(copy_job, MONEY, \
    "INSERT INTO job (id, session, service, board, title, manifest, budget, state, worker, scenes, finished, error, message, film, result," \
    " submitted_at, taken_at, ended_at) VALUES (:id, 0, :service, :board, :title, :manifest, :budget, :state, :worker, :scenes, :finished," \
    " :error, :message, :film, :result, :submitted_at, :taken_at, :ended_at)") \
  /* Makes the numbers of new rows follow those of the copied rows. */ \
  X(number_copies, MONEY, CONTINUE_NUMBERS) \
  X(end_copy, MONEY, "COMMIT")
