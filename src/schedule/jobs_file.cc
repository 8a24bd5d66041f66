#include "schedule/jobs_file.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.hh"
#include "base/text.hh"
#include "schedule/command_words.hh"

namespace seawall::schedule {
namespace {

constexpr std::array<std::string_view, 3> in_containers{"job-exec", "job-run", "job-service-run"};
constexpr std::array<std::string_view, 10> reports{
    "slack-webhook", "slack-only-on-error",  "smtp-host", "smtp-port",  "smtp-user",
    "smtp-password", "smtp-tls-skip-verify", "email-to",  "email-from", "mail-only-on-error"};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::optional<bool> truth(const std::string& text) {
  const std::string word = lower(text);
  if (word == "true" || word == "yes" || word == "on" || word == "1") return true;
  if (word == "false" || word == "no" || word == "off" || word == "0") return false;
  return std::nullopt;
}

/// What one section says.
struct Section {
  std::string kind;  ///< lower case
  std::string name;
  std::size_t line = 0;
  std::string schedule;
  std::size_t schedule_line = 0;
  std::vector<std::string> commands;
  std::vector<std::pair<std::string, std::string>> environment;
  std::string directory;
  std::string cluster;
  std::optional<std::string> save_folder;
  std::optional<bool> save_only_on_error;
};

class Parser {
 public:
  Parser(std::string_view text, std::string_view origin) : text_(text), origin_(origin) {}

  JobsFile parse() {
    while (at_ < text_.size()) {
      skip_blanks();
      if (at_ == text_.size()) break;
      const char c = text_[at_];
      if (c == '\n') {
        ++at_;
        ++line_;
      } else if (c == '#' || c == ';') {
        skip_line();
      } else if (c == '[') {
        heading();
      } else {
        setting();
      }
    }
    for (const Section& section : sections_) finish(section);
    return std::move(file_);
  }

 private:
  Error wrong(std::size_t line, std::string_view what) const {
    return {Errc::config, fmt::format("{}, line {}: {}", origin_, line, what)};
  }
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
  }
  void skip_line() { at_ = std::min(text_.find('\n', at_), text_.size()); }

  void heading() {
    const std::size_t end = std::min(text_.find('\n', at_), text_.size());
    const std::string_view line = text_.substr(at_, end - at_);
    const std::size_t quote = line.find('"');
    const std::size_t close = line.find(']', quote == std::string_view::npos ? 0 : line.find('"', quote + 1));
    if (close == std::string_view::npos) throw wrong(line_, "a section's heading ends with ]");
    const std::string_view rest = trim(line.substr(close + 1));
    if (!rest.empty() && rest.front() != '#' && rest.front() != ';') {
      throw wrong(line_, fmt::format("'{}' stands behind the heading", rest));
    }
    const std::string_view inner = line.substr(1, close - 1);
    const std::string kind = lower(trim(inner.substr(0, inner.find('"'))));
    std::string name;
    if (quote != std::string_view::npos) {
      const std::size_t last = inner.rfind('"');
      if (last < quote) throw wrong(line_, "the job's name is not closed by a quote");
      name = inner.substr(quote, last - quote);
    }
    open(kind, name);
    at_ = end;
  }

  void open(const std::string& kind, const std::string& name) {
    const bool local = kind == "job-local";
    if (!local && kind != "global" && !contains(in_containers, kind)) {
      throw wrong(line_, fmt::format("there is no section '{}'; [job-local \"NAME\"] is one", kind));
    }
    if (kind != "global" && name.empty()) throw wrong(line_, fmt::format("[{}] needs a name in quotes", kind));
    for (Section& section : sections_) {
      if (section.kind == kind && section.name == name) {
        section_ = static_cast<std::size_t>(&section - sections_.data());
        return;
      }
    }
    section_ = sections_.size();
    sections_.push_back({.kind = kind, .name = name, .line = line_});
  }

  void setting() {
    const std::size_t line = line_;
    const std::size_t end = std::min(text_.find_first_of("=#;\n", at_), text_.size());
    const std::string key = lower(trim(text_.substr(at_, end - at_)));
    at_ = end;
    std::string value = "true";  // of a key alone
    if (at_ < text_.size() && text_[at_] == '=') {
      ++at_;
      value = read_value();
    }
    skip_line();
    if (!section_) throw wrong(line, fmt::format("'{}' stands in no section", key));
    set(sections_[*section_], key, value, line);
  }

  /// Up to the end of the line or a comment; quotes keep what is between them, a backslash continues the line.
  std::string read_value() {
    skip_blanks();
    std::string value;
    std::size_t solid = 0;  // as much of it as no blank at the end can be taken from
    bool quoted = false;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\n') {
        if (quoted) throw wrong(line_, "a quote is not closed");
        break;
      }
      if (!quoted && (c == '#' || c == ';')) break;
      if (c == '"') {
        quoted = !quoted;
        solid = value.size();
      } else if (c == '\\') {
        take_escaped(value, quoted);
        solid = value.size();
      } else {
        value += c;
        if (quoted) solid = value.size();
      }
    }
    if (quoted) throw wrong(line_, "a quote is not closed");
    while (value.size() > solid && (value.back() == ' ' || value.back() == '\t' || value.back() == '\r')) {
      value.pop_back();
    }
    return value;
  }

  void take_escaped(std::string& value, bool quoted) {
    ++at_;
    const char next = at_ < text_.size() ? text_[at_] : '\0';
    if (next == '\n') {
      ++line_;
    } else if (next == '"') {
      value += next;
    } else if (quoted && (next == '\\' || next == 'n' || next == 't')) {
      value += next == 'n' ? '\n' : next == 't' ? '\t' : '\\';
    } else {
      throw wrong(line_,
                  "a backslash stands before \" or the end of the line only; put the value into quotes, and "
                  "write \\\\ there");
    }
  }

  bool yes(const std::string& key, const std::string& value, std::size_t line) const {
    if (const auto known = truth(value)) return *known;
    throw wrong(line, fmt::format("{} is '{}'; true and false are possible", key, value));
  }

  void set(Section& section, const std::string& key, const std::string& value, std::size_t line) {
    if (contains(in_containers, section.kind)) return;
    if (contains(reports, key)) {
      const std::string text = fmt::format("{}: {} is accepted, but nobody is told that way", origin_, key);
      if (std::find(file_.complaints.begin(), file_.complaints.end(), text) == file_.complaints.end()) {
        file_.complaints.push_back(text);
      }
    } else if (key == "save-folder") {
      section.save_folder = value;
    } else if (key == "save-only-on-error") {
      section.save_only_on_error = yes(key, value, line);
    } else if (section.kind == "global") {
      throw wrong(line, fmt::format("there is no setting '{}' of all jobs", key));
    } else {
      set_of_job(section, key, value, line);
    }
  }

  void set_of_job(Section& section, const std::string& key, const std::string& value, std::size_t line) {
    if (key == "schedule") {
      section.schedule = value;
      section.schedule_line = line;
    } else if (key == "command") {
      section.commands.push_back(value);
    } else if (key == "dir") {
      section.directory = value;
    } else if (key == "cluster") {
      section.cluster = value;
    } else if (key == "environment") {
      const std::size_t equals = value.find('=');
      if (equals == 0 || equals == std::string::npos) {
        throw wrong(line, fmt::format("environment is '{}', and not NAME=VALUE", value));
      }
      section.environment.emplace_back(value.substr(0, equals), value.substr(equals + 1));
    } else if (key == "no-overlap") {
      yes(key, value, line);  // never do two runs of a job overlap
    } else {
      throw wrong(line, fmt::format("there is no setting '{}' of a job", key));
    }
  }

  void finish(const Section& section) {
    if (section.kind == "global") return;
    if (section.kind != "job-local") {
      file_.complaints.push_back(
          fmt::format("{}: job '{}' is not run: [{}] wants a container engine", origin_, section.name, section.kind));
      return;
    }
    Job job{.name = section.name, .schedule = {}, .steps = {}};
    if (section.schedule.empty()) throw wrong(section.line, fmt::format("job '{}' has no schedule", section.name));
    try {
      job.schedule = Schedule::parse(section.schedule);
    } catch (Error& error) {
      throw error.during(fmt::format("{}, line {}", origin_, section.schedule_line));
    }
    for (const std::string& command : section.commands) {
      Step step{.words = command_words(command)};
      if (!step.words.empty()) job.steps.push_back(std::move(step));
    }
    if (job.steps.empty()) throw wrong(section.line, fmt::format("job '{}' has no command", section.name));
    job.directory = section.directory;
    job.environment = section.environment;
    job.cluster = section.cluster;
    const Section* global = nullptr;
    for (const Section& other : sections_) {
      if (other.kind == "global") global = &other;
    }
    // As ofelia has it: whoever names a folder of its own takes nothing from [global].
    const Section& saving = section.save_folder || global == nullptr ? section : *global;
    job.save_folder = saving.save_folder.value_or("");
    job.save_only_on_error = saving.save_only_on_error.value_or(false);
    file_.jobs.push_back(std::move(job));
  }

  const std::string_view text_;
  const std::string origin_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  std::vector<Section> sections_;
  std::optional<std::size_t> section_;
  JobsFile file_;
};

}  // namespace

JobsFile parse_jobs_file(std::string_view text, std::string_view origin) { return Parser(text, origin).parse(); }

}  // namespace seawall::schedule
