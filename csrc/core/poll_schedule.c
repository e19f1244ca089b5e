// SPDX-License-Identifier: MIT
// Computes the ages at which omni queries a task. The functions in this file have no side effects and read no clock.
//
// The hazard rate h at an age is the probability that an unfinished task of that age ends within the next second; omni estimates it from
// the durations of similar tasks. If c is the cost of a query and h is the hazard rate, querying every sqrt(2 c / h) seconds requires the
// fewest queries for a given mean delay between a task's end and the next query (Keller, "Optimum checking schedules for systems subject to
// random failure", 1974). The cost c of a query, in seconds of delay, follows from the target delay. The measurements behind the constants
// are described in docs/performance.md, "Polling".
#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <stdlib.h>

#include "core/core_parts.h"

static const double
    STEP = 0.025,     // distance between grid points in ln(seconds); the grid is logarithmic because longer durations vary more
    JITTER = 0.05,    // next_query lengthens or shortens each wait by up to this fraction (poll_schedule.lua)
    AIM = 1.3,        // target for the mean delay from a task's end to the next query, as a multiple of the minimum wait between queries
    SPARING = 4.1,    // the average interval between queries is at least this many times the minimum wait between two queries
    FEWEST = 2,       // a task can always be queried at least this many times, whatever the average interval
    STUCK = 0.005,    // assumed fraction of tasks that never end; this makes omni query old tasks less often
    QUARTER = 4,      // a schedule contains this many entries for each interval between queries (poll_schedule.lua)
    PLANNED = 1000,   // number of queries in a schedule
    USUAL = 2,        // if the minimum wait between queries is shorter than this many seconds, the prior's median is shorter, too
    SHORTEST = 0.001, // smallest allowed value of the minimum wait between queries, in seconds
    ROUNDING = 0.4,   // uncertainty of a duration in seconds, since the service reports whole seconds
    QUICKEST = 0.3,   // a reported duration of 0 counts as this many seconds
    LONGEST = 1e9;    // longest duration in seconds

// The prior: before any task has been observed, durations are assumed to have a log-normal distribution with this median (in seconds) and
// spread (in ln). The prior (the assumed distribution) has the same weight as PRIOR_WEIGHT observed tasks.
static const double PRIOR_MEDIAN = 80, PRIOR_SPREAD = 0.85, PRIOR_SPARING = 5.0, PRIOR_WEIGHT = 1;

// The spread of the durations is estimated as if FEW_WEIGHT more tasks with the spread FEW_SPREAD had been observed. If at least ROBUST
// tasks have been observed, outliers don't increase the estimated spread of the durations.
static const double FEW_SPREAD = 0.3, FEW_WEIGHT = 3;
enum { ROBUST = 8 };

// A grid of task ages. Its points are numbered from 1 to `count`, and each array contains one value per point.
typedef struct {
  int count;
  double first;     // the grid's start in ln(seconds); its first point is one step later
  double *density;  // for each grid point, the probability that a task ends at the point's age
  double *ages;     // seconds
  double *left;     // for each grid point, the probability that a task lasts longer than the point's age
  double *gaps;     // for each grid point, the optimal gap between two queries if c, the cost of a query, is 1/2
  double doubt;     // the share of the prior (the assumed distribution of durations) in the density
  double mean;      // of the durations
  double least, widest; // the shortest and longest allowed gap between two queries, in seconds
} grid;

static double square(double x) {
  return x * x;
}

static double *new_array(lua_State *L, int count) {
  double *array = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *array, 0);
  for (int i = 0; i <= count; i++) array[i] = 0;
  return array;
}

// --- the density

// Adds a bell curve centred on `middle` (in ln seconds) to the grid.
static void add_bell(grid *g, double middle, double width, double weight) {
  double centre = floor((middle - g->first) / STEP), reach = ceil(4 * width / STEP), sum = 0, *shares = g->gaps;
  int from = (int)fmax(1, centre - reach), to = (int)fmin(g->count, centre + reach);
  for (int i = from; i <= to; i++) {
    shares[i] = exp(-0.5 * square((g->first + i * STEP - middle) / width));
    sum += shares[i];
  }
  for (int i = from; i <= to; i++) g->density[i] += weight * shares[i] / sum;
}

// Returns the width in ln(seconds) of the bell curve for each observed task, according to Silverman's rule.
static double bell_width(const double *logs, int n) {
  double sum = 0, squares = 0;
  for (int i = 1; i <= n; i++) sum += logs[i];
  for (int i = 1; i <= n; i++) squares += square(logs[i] - sum / n);
  double spread = sqrt((FEW_WEIGHT * square(FEW_SPREAD) + squares) / (FEW_WEIGHT + n - 1));
  if (n >= ROBUST) {
    double quartiles = logs[(int)ceil(n * 0.75)] - logs[(int)ceil(n * 0.25)];
    if (quartiles > 0) spread = fmin(spread, quartiles / 1.34);
  }
  return 0.65 * spread * pow(n, -0.2);
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// Computes the density of the durations in the table at index 1. Pushes userdata that contain the grid's arrays.
static void fill_density(lua_State *L, grid *g, double scale) {
  int n = (int)lua_rawlen(L, 1);
  double *logs = new_array(L, n);
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, i);
    double took = luaL_checknumber(L, -1);
    luaL_argcheck(L, took <= LONGEST, 1, "a duration is too long");
    logs[i] = log(fmax(took, QUICKEST));
    lua_pop(L, 1);
  }
  qsort(logs + 1, (size_t)n, sizeof *logs, compare);
  double middle = log(PRIOR_MEDIAN * scale);
  g->first = fmin(middle - 4 * PRIOR_SPREAD, (n > 0 ? logs[1] : middle) - 1);
  g->count = (int)ceil((fmax(middle + 4 * PRIOR_SPREAD, (n > 0 ? logs[n] : middle) + 2) - g->first) / STEP);
  g->density = new_array(L, g->count);
  g->ages = new_array(L, g->count);
  g->left = new_array(L, g->count);
  g->gaps = new_array(L, g->count);
  g->doubt = PRIOR_WEIGHT / (PRIOR_WEIGHT + n);
  add_bell(g, middle, PRIOR_SPREAD, g->doubt);
  double width = n > 0 ? bell_width(logs, n) : 0;
  for (int i = 1, equal = 1; i <= n; i++, equal++) {
    if (i < n && logs[i] == logs[i + 1]) continue;
    // adds one bell curve for all equal durations, which are common, since the service reports whole seconds
    add_bell(g, logs[i], fmin(1, sqrt(square(width) + square(ROUNDING / exp(logs[i])))), equal * (1 - g->doubt) / n);
    equal = 0;
  }
}

// --- the schedule

static void fill_hazards(grid *g) {
  double beyond = STUCK;
  g->mean = 0;
  for (int i = g->count; i >= 1; i--) {
    double chance = g->density[i], age = exp(g->first + i * STEP);
    g->ages[i] = age;
    g->left[i] = beyond + chance / 2;
    g->gaps[i] = chance > 0 ? sqrt(g->left[i] * age * STEP / chance) : INFINITY;
    beyond += chance;
    g->mean += chance * age;
  }
}

static double clip(const grid *g, double gap) {
  return gap > g->widest ? g->widest : gap < g->least ? g->least : gap;
}

// Returns sqrt(2 c), where c is the cost of a query; the gaps in the grid must be multiplied by this factor. The result is the largest
// factor that meets the target delay, or a larger factor if the target delay would require too many queries.
static double factor_for(const grid *g, double aimed, double few_enough) {
  double low = -8, high = 8;         // in ln
  for (int i = 0; i < 11; i++) { // determines the factor to within 1%
    double middle = (low + high) / 2, factor = exp(middle), delay = 0, queries = 0.5;
    for (int k = 1; k <= g->count; k++) {
      double gap = clip(g, g->gaps[k] * factor);
      delay += g->density[k] * gap / 2;
      queries += g->left[k] * g->ages[k] * STEP / gap;
    }
    if (delay < aimed || queries > few_enough) low = middle;
    else high = middle;
  }
  return exp(high);
}

// A schedule is a list of task ages in the table at the top of the stack, with QUARTER entries for each query. `due` is the number of
// entries up to the task age `age`, before rounding to a whole number.
typedef struct {
  lua_Integer count;
  double due, age;
} schedule;

// Adds queries up to the age `to`, with the given gap between queries.
static void extend(lua_State *L, schedule *s, double to, double gap) {
  double due = s->due + QUARTER * (to - s->age) / gap;
  lua_Integer whole = (lua_Integer)floor(fmin(due, PLANNED * QUARTER));
  while (s->count < whole) {
    s->count++;
    lua_pushnumber(L, s->age + ((double)s->count - s->due) * gap / QUARTER);
    lua_rawseti(L, -2, s->count);
  }
  s->due = due;
  s->age = to;
}

static void set_number(lua_State *L, const char *name, double number) {
  lua_pushnumber(L, number);
  lua_setfield(L, -2, name);
}

// poll_schedule(seconds, least, most) → schedule
static int poll_schedule(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  double least = luaL_checknumber(L, 2), most = luaL_checknumber(L, 3);
  lua_settop(L, 3);
  least = fmax(fmin(least, most), SHORTEST);
  most = fmax(most, least);
  double quick = fmin(1, least / USUAL);
  grid g = {.least = least, .widest = most / (1 + JITTER)};
  fill_density(L, &g, square(quick));
  fill_hazards(&g);
  double unit = fmin(least, USUAL) * (lua_rawlen(L, 1) > 0 ? 1 : quick);
  double few_enough = fmax(g.mean / (unit * (SPARING + (PRIOR_SPARING - SPARING) * g.doubt)), FEWEST);
  double factor = factor_for(&g, AIM * unit, few_enough);
  schedule s = {.count = 0};
  lua_newtable(L);
  set_number(L, "least", least);
  set_number(L, "most", most);
  extend(L, &s, exp(g.first + STEP / 2), g.widest);
  for (int i = 1; i <= g.count; i++) extend(L, &s, exp(g.first + (i + 0.5) * STEP), clip(&g, g.gaps[i] * factor));
  return 1;
}

void poll_schedule_open(lua_State *L) {
  lua_pushcfunction(L, poll_schedule);
  lua_setfield(L, -2, "poll_schedule");
}
