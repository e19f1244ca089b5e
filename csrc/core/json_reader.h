// SPDX-License-Identifier: MIT
// Reads JSON text in place: checks the whole text, and lists its values without creating Lua values. Accepts exactly the texts that
// lua-cjson 2.1.0 accepts with omni's settings (envelope.c).
#ifndef OMNI_JSON_READER_H
#define OMNI_JSON_READER_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  JSON_MAX_DEPTH = 100, // maximum nesting depth of arrays and objects; real responses have about 5 levels
  JSON_INLINE = 96,     // number of values that a document can hold without allocating memory; a response to a query has about 50
};

typedef enum { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } json_type;

// One value in a JSON text, or the name of an object's member.
typedef struct {
  uint32_t start, end; // the offsets of the value's start and end in the text; a string's quotes aren't included
  uint32_t next;       // the index of the first value that follows this value and all values inside it
  uint8_t type;        // json_type
  bool escaped;        // the string contains a backslash
} json_value;

#define JSON_NONE UINT32_MAX // used in place of a value's index; means that there is no such value

// A JSON text's values, in the order in which they occur in the text. Value 0 of a document is its outermost value. An object's members are
// listed as name, value, name, value and so on.
typedef struct {
  const char *text;
  json_value *values;
  uint32_t count, capacity;
  const char *why; // the reason why the text isn't valid JSON
  uint32_t at;     // the offset of the byte at which reading stopped
  int slot;        // the stack index of the userdata that contains the values if there are more than JSON_INLINE
  json_value first[JSON_INLINE];
} json_document;

// Reads a JSON text, which a NUL must follow. Returns false if the text isn't valid JSON; the document's `why` and `at` then describe the
// error. Pushes one value. The value that json_read pushes must stay on the stack, and the text must stay unchanged, as long as the
// document is in use. Raises an error only when memory runs out.
bool json_read(lua_State *L, const char *text, size_t length, json_document *d);
// Does the same as json_read, but without Lua. Also returns false for a text with more than JSON_INLINE values.
bool json_read_short(const char *text, size_t length, json_document *d);

// Returns the value of the member `name`, or JSON_NONE if `object` isn't an object or has no such member. If several members have this
// name, the last one counts.
uint32_t json_member(const json_document *d, uint32_t object, const char *name);
// Does the same as json_member, but returns JSON_NONE if the member's value doesn't have this type.
uint32_t json_member_of(const json_document *d, uint32_t object, const char *name, json_type type);

// Returns the first element of `array`, or JSON_NONE if `array` isn't an array or is empty.
uint32_t json_first(const json_document *d, uint32_t array);
// Returns the array element after `value`, or JSON_NONE if there is none.
uint32_t json_next(const json_document *d, uint32_t array, uint32_t value);

bool json_is(const json_document *d, uint32_t value, json_type type);

// Returns the task object in a callback's body. The task object may be wrapped in an envelope.
uint32_t json_callback_task(const json_document *d);

// Decodes a string or a name, and pushes it.
void json_push_string(lua_State *L, const json_document *d, uint32_t value);
// Pushes a value exactly as it appears in the JSON text. A string keeps its escape sequences, but loses its quotes.
void json_push_text(lua_State *L, const json_document *d, uint32_t value);
// Converts a JSON number to a double, as strtod would in the locale "C".
double json_number(const json_document *d, uint32_t value);

#endif
