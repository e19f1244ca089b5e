// SPDX-License-Identifier: MIT
// One row for each of the service's response codes (docs/service.md, "Codes"). The macro X has these columns: the number, the name, whether
// a retry may help, whether the service refused the submit and charged nothing, the meaning, and the hint.
#ifndef OMNI_API_CODES_H
#define OMNI_API_CODES_H

#define KEYS_PAGE "https://crun.ai/user-api-key" // the page that creates and resets keys
#define BILLING_PAGE "https://crun.ai/billing"   // the page that sells credits

#define API_CODES(X)                                                                                                   \
  X(401, "unauthorized", false, true, "the key is missing or not valid",                                               \
    "set CRUN_API_KEY, or write CRUN_API_KEY=... into ~/.crun/.env (mode 600); get a key at " KEYS_PAGE                \
    ", and reset it there at once if others may know it")                                                              \
  X(402, "insufficient_credits", false, true, "not enough credits", "buy credits at " BILLING_PAGE ", or make the film cheaper") \
  X(403, "key_disabled", false, true, "the API key is disabled",                                                       \
    "look at the key at " KEYS_PAGE "; reset it there at once if others may know it, or use another one")              \
  X(404, "not_found", false, true, "no such task or endpoint", "check the task id and the base URL")                   \
  X(422, "invalid_request", false, true, "the service doesn't accept the request", "correct the field that the message names") \
  X(429, "rate_limited", true, true, "too many requests", "wait and try again, or run fewer tasks at a time")          \
  X(455, "maintenance", true, true, "the service is under maintenance", "try again later")                             \
  X(500, "server_error", true, false, "the service failed unexpectedly", NULL)                                         \
  X(501, "generation_failed", false, false, "the generation failed", "change the prompt or the references, then submit again") \
  X(505, "feature_disabled", false, true, "the feature is disabled", "ask the service's support, or use another model")

#endif
