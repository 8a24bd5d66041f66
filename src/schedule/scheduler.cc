#include "schedule/scheduler.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/time_text.hh"
#include "schedule/zone.hh"

namespace seawall::schedule {
namespace {

/// How often what runs is looked at.
constexpr auto while_running = std::chrono::milliseconds(100);
/// So long at most nothing is looked at: the wall clock may be set, or the machine may have slept.
constexpr auto while_idle = std::chrono::seconds(20);
/// A run that is noticed so much later counts as late, and is told.
constexpr auto punctual = std::chrono::minutes(1);
/// Further back it does not matter how many.
constexpr std::uint64_t most_counted = 1000;

std::string stamp_of(Time time) {
  const ZoneScope zone("");
  const std::tm fields = zone.local(time);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y%m%d_%H%M%S", &fields)};
}

std::string runs_text(std::uint64_t runs) {
  if (runs == 1) return "1 run";
  return fmt::format("{}{} runs", runs == most_counted ? "at least " : "", runs);
}

}  // namespace

Scheduler::Scheduler(const std::vector<Job>& jobs, const History& history, Launcher& launcher, SchedulerOptions options,
                     const Run& run)
    : jobs_(jobs), history_(history), launcher_(launcher), options_(options), run_(run) {}

void Scheduler::work() {
  begin();
  while (!run_.stop.stop_requested()) {
    collect_due(run_.clock.wall());
    start_waiting();
    poll_running();
    start_waiting();
    run_.clock.sleep(running_.empty() ? until_next(run_.clock.wall()) : while_running, run_.stop);
  }
  drain();
}

void Scheduler::begin() {
  const Time now = run_.clock.wall();
  const std::vector<Entry> past = history_.read();
  for (const Job& job : jobs_) {
    timed_.push_back({.job = job, .next = job.schedule.next(now)});
    look_back(timed_.back(), past);
    const std::optional<Time>& next = timed_.back().next;
    run_.log.info("job '{}': schedule '{}', read as {}; next run {}", job.name, job.schedule.text(),
                  job.schedule.reading(), next ? local_text(*next, job.schedule.zone()) : "never");
  }
}

/// What was due while nobody was here. An interval counts from the start, so of it nothing was.
void Scheduler::look_back(Timed& timed, const std::vector<Entry>& past) {
  const Job& job = timed.job;
  const auto last = std::find_if(past.rbegin(), past.rend(), [&](const Entry& entry) { return entry.job == job.name; });
  if (last == past.rend() || job.schedule.is_interval()) return;
  const Time now = run_.clock.wall();
  std::optional<Time> missed;
  std::uint64_t runs = 0;
  for (auto due = job.schedule.next(last->due); due && *due <= now && runs < most_counted;
       due = job.schedule.next(*due)) {
    missed = due;
    ++runs;
  }
  if (!missed) return;
  if (options_.catch_up) {
    run_.log.warning("job '{}' missed {} while no scheduler ran, and is run now", job.name, runs_text(runs));
    ask_for(job, *missed);
  } else {
    record_missed(job, *missed, runs, "no scheduler ran");
  }
}

void Scheduler::record_missed(const Job& job, Time due, std::uint64_t runs, std::string_view why) {
  run_.log.warning("job '{}' missed {}, the last one due {}: {}", job.name, runs_text(runs),
                   local_text(due, job.schedule.zone()), why);
  history_.append(
      {.job = job.name, .outcome = Outcome::missed, .due = due, .detail = fmt::format("{}: {}", runs_text(runs), why)});
}

void Scheduler::collect_due(Time now) {
  for (Timed& timed : timed_) {
    if (!timed.next || *timed.next > now) continue;
    Time due = *timed.next;
    std::uint64_t passed = 0;
    std::optional<Time> next = timed.job.schedule.next(due);
    for (; next && *next <= now && passed < most_counted; next = timed.job.schedule.next(due)) {
      record_missed(timed.job, due, 1, "the machine slept, or its clock was set");
      due = *next;
      ++passed;
    }
    timed.next = next && *next <= now ? timed.job.schedule.next(now) : next;
    if (now - due > punctual) {
      run_.log.warning("job '{}' starts {} late", timed.job.name,
                       duration_text(std::chrono::floor<std::chrono::seconds>(now - due)));
    }
    ask_for(timed.job, due);
  }
}

bool Scheduler::is_under_way(const Job& job) const {
  const auto is_it = [&](const Turn& turn) { return turn.job == &job; };
  return std::any_of(waiting_.begin(), waiting_.end(), is_it) ||
         std::any_of(running_.begin(), running_.end(), [&](const auto& running) { return is_it(running.second); });
}

void Scheduler::ask_for(const Job& job, Time due) {
  if (is_under_way(job)) {
    run_.log.warning("job '{}' is skipped: its run before is not done", job.name);
    history_.append({.job = job.name, .outcome = Outcome::skipped, .due = due, .detail = "the run before is not done"});
    return;
  }
  waiting_.push_back({.job = &job, .entry = {.job = job.name, .due = due, .detail = {}}});
}

/// In the order in which they were due, one for each cluster.
void Scheduler::start_waiting() {
  for (auto turn = waiting_.begin(); turn != waiting_.end();) {
    if (running_.contains(turn->job->cluster)) {
      ++turn;
      continue;
    }
    Turn& started = running_.emplace(turn->job->cluster, std::move(*turn)).first->second;
    turn = waiting_.erase(turn);
    started.entry.started = run_.clock.wall();
    started.stamp = stamp_of(started.entry.started);
    run_.log.info("job '{}' starts", started.job->name);
    history_.append(started.entry);
    start_step(started);
  }
}

void Scheduler::start_step(Turn& turn) {
  try {
    turn.running = launcher_.start(*turn.job, turn.step, turn.stamp);
  } catch (const Error& error) {
    end_turn(turn, Outcome::failed, 127, error.what());  // as a shell says it
  }
}

void Scheduler::advance(Turn& turn) {
  const std::optional<int> status = turn.running->poll();
  if (!status) return;
  const std::string said = turn.running->last_line();
  turn.running.reset();
  if (*status != 0) {
    end_turn(turn, stopping_ ? Outcome::stopped : Outcome::failed, *status, said);
  } else if (++turn.step == turn.job->steps.size()) {
    end_turn(turn, Outcome::ok, 0, said);
  } else if (stopping_) {
    end_turn(turn, Outcome::stopped, 0, "the scheduler ended between two commands");
  } else {
    start_step(turn);
  }
}

void Scheduler::end_turn(Turn& turn, Outcome outcome, int status, std::string detail) {
  Entry& entry = turn.entry;
  entry.outcome = outcome;
  entry.status = status;
  entry.finished = run_.clock.wall();
  entry.detail = std::move(detail);
  launcher_.finish(*turn.job, turn.stamp, outcome == Outcome::ok);
  history_.append(entry);
  const std::string took = duration_text(std::chrono::floor<std::chrono::seconds>(entry.finished - entry.started));
  if (outcome == Outcome::ok) {
    run_.log.info("job '{}' is done after {}", entry.job, took);
  } else {
    run_.log.error("job '{}': '{}' {} with status {} after {}{}", entry.job,
                   fmt::join(turn.job->steps.at(turn.step).words, " "),
                   outcome == Outcome::stopped ? "was stopped" : "failed", status, took,
                   turn.step + 1 < turn.job->steps.size() ? "; what comes after it was not run" : "");
  }
}

/// Does anything still run?
bool Scheduler::poll_running() {
  for (auto it = running_.begin(); it != running_.end();) {
    if (it->second.running != nullptr) advance(it->second);
    it = it->second.running == nullptr ? running_.erase(it) : std::next(it);
  }
  return !running_.empty();
}

void Scheduler::drain() {
  stopping_ = true;
  for (const Turn& turn : waiting_) {
    Entry entry = turn.entry;
    entry.outcome = Outcome::skipped;
    entry.detail = "the scheduler ended before its turn came";
    history_.append(entry);
  }
  waiting_.clear();
  if (!running_.empty()) run_.log.info("told to end: waiting for {} running job(s)", running_.size());
  const auto start = run_.clock.steady();
  const std::stop_token never;
  for (bool asked = false; poll_running();) {
    if (!asked && run_.clock.steady() - start >= options_.drain) {
      for (auto& [cluster, turn] : running_) {
        run_.log.info("job '{}' is asked to stop", turn.job->name);
        turn.running->ask_to_stop();
      }
      asked = true;
    }
    run_.clock.sleep(while_running, never);
  }
  run_.log.info("the scheduler has ended");
}

std::chrono::nanoseconds Scheduler::until_next(Time now) const {
  std::chrono::nanoseconds wait = while_idle;
  for (const Timed& timed : timed_) {
    if (timed.next) wait = std::min(wait, std::max(std::chrono::nanoseconds(0), *timed.next - now));
  }
  // Never quite none: a clock that is set back between two looks must not make it spin.
  return std::max<std::chrono::nanoseconds>(wait, std::chrono::milliseconds(1));
}

}  // namespace seawall::schedule
