#include "schedule/history.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <algorithm>
#include <array>

#include "base/error.hh"
#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall::schedule {
namespace {

constexpr std::size_t kept_lines = 1000;
constexpr std::array<std::string_view, 6> names{"started", "ok", "failed", "stopped", "skipped", "missed"};

/// Fields are divided by tabs and lines by line breaks, so neither may stand within.
std::string flat(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\t' || c == '\n' || c == '\r'; }, ' ');
  return text;
}

std::string time_field(Time time) { return time == Time{} ? "-" : rfc3339_nano(time); }

std::optional<Time> parse_time(std::string_view text) {
  if (text == "-") return Time{};
  return parse_rfc3339(text);
}

std::optional<Entry> parse_line(std::string_view line) {
  const std::vector<std::string_view> fields = split(line, '\t');
  if (fields.size() != 7) return std::nullopt;
  const auto outcome = std::find(names.begin(), names.end(), fields[4]);
  const auto due = parse_time(fields[0]);
  const auto started = parse_time(fields[1]);
  const auto finished = parse_time(fields[2]);
  const auto status = parse_int<int>(fields[5]);
  if (outcome == names.end() || !due || !started || !finished || !status) return std::nullopt;
  return Entry{.job = std::string(fields[3]),
               .outcome = static_cast<Outcome>(outcome - names.begin()),
               .due = *due,
               .started = *started,
               .finished = *finished,
               .status = *status,
               .detail = std::string(fields[6])};
}

}  // namespace

std::string_view name_of(Outcome outcome) noexcept { return names.at(static_cast<std::size_t>(outcome)); }

Fd History::lock() const {
  std::error_code failure;
  std::filesystem::create_directories(directory_, failure);
  if (failure) throw system_error(failure.value(), directory_.native());
  Fd fd = open_file(lock_file(), O_RDWR | O_CREAT, 0644);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    throw Error(Errc::in_use, fmt::format("another scheduler keeps its history in {}; give this one a directory of its "
                                          "own with SEAWALL_STATE_DIR",
                                          directory_.native()));
  }
  return fd;
}

bool History::is_locked() const {
  const std::optional<Fd> fd = try_open_file(lock_file(), O_RDONLY);
  return fd && ::flock(fd->get(), LOCK_SH | LOCK_NB) != 0;
}

void History::append(const Entry& entry) const {
  const std::string line = fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\n", time_field(entry.due), time_field(entry.started),
                                       time_field(entry.finished), flat(entry.job), name_of(entry.outcome),
                                       entry.status, flat(entry.detail));
  const Fd fd = open_file(file(), O_WRONLY | O_APPEND | O_CREAT, 0644);
  write_all(fd, std::as_bytes(std::span(line)), file().native());
}

std::vector<Entry> History::read() const {
  std::vector<Entry> entries;
  const std::string text = try_read_file(file()).value_or("");
  for (const std::string_view line : split(text, '\n')) {
    std::optional<Entry> entry = parse_line(line);
    if (!entry) continue;
    const auto same = std::find_if(entries.rbegin(), entries.rend(), [&](const Entry& other) {
      return other.job == entry->job && other.due == entry->due && other.outcome == Outcome::started;
    });
    if (same == entries.rend()) {
      entries.push_back(std::move(*entry));
    } else {
      *same = std::move(*entry);
    }
  }
  return entries;
}

void History::trim() const {
  const std::string text = try_read_file(file()).value_or("");
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  if (lines <= kept_lines) return;
  std::size_t from = 0;
  for (std::size_t dropped = lines - kept_lines; dropped > 0; --dropped) from = text.find('\n', from) + 1;
  replace_file(file(), text.substr(from), 0644);
}

}  // namespace seawall::schedule
