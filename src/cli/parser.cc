#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/text.hh"
#include "cli/detail/declared.hh"
#include "cli/exit_status.hh"
#include "cli/program.hh"

namespace seawall::cli {
namespace {

using detail::GlobalFlag;

/// WAL-G's one line names WAL-G's program whatever ours is called: scripts compare it.
constexpr std::string_view quoted_program = "wal-g";

/// What a flag on the command line turned out to be.
struct Flag {
  enum class Kind { unknown, option, global, setting } kind = Kind::unknown;
  std::size_t index = 0;  // of the command's options or of the global flags
  bool takes_value = false;
  std::string key;  // of a setting
};

class CommandLine {
 public:
  CommandLine(const Program& program, std::span<const char* const> arguments)
      : program_(program), arguments_(arguments.begin(), arguments.end()) {}

  Parsed parse();

 private:
  Flag long_flag(std::string_view name) const;
  Flag short_flag(char letter) const;
  bool takes_value_somewhere(std::string_view name) const;
  bool letter_takes_value_somewhere(char letter) const;
  std::vector<std::size_t> leading_words() const;
  void find_command(std::vector<std::size_t> words);
  bool read_all();
  bool read_long(std::size_t& at);
  bool read_short(std::size_t& at);
  bool apply(const Flag& flag, std::string_view shown, std::string_view text);
  bool apply_global(const GlobalFlag& flag, std::string_view shown, std::string_view text);
  bool invalid(std::string_view text, std::string_view shown, std::string_view accepted);
  bool unknown_flag(std::string_view name);
  bool complain(std::string line, std::string explanation = {});
  void unknown_command(std::string_view word);
  void take_positionals();
  void run_builtin(std::string_view name);
  void help();
  std::string count_complaint() const;

  const Program& program_;
  std::vector<std::string_view> arguments_;
  std::vector<std::string_view> positionals_;
  std::vector<std::size_t> command_at_;  // its words
  AnyCommand* command_ = nullptr;
  const detail::Builtin* builtin_ = nullptr;
  bool wants_help_ = false;
  bool wants_version_ = false;
  Parsed parsed_;
};

Flag CommandLine::long_flag(std::string_view name) const {
  if (command_ != nullptr) {
    const auto options = command_->options();
    for (std::size_t i = 0; i < options.size(); ++i) {
      if (options[i].name == name) return {Flag::Kind::option, i, !options[i].value.empty(), {}};
    }
  }
  const auto globals = detail::global_flags();
  for (std::size_t i = 0; i < globals.size(); ++i) {
    if (globals[i].name == name) return {Flag::Kind::global, i, !globals[i].value.empty(), {}};
  }
  std::string key = detail::key_of_word(name);
  if (detail::accepts_key(program_, key)) return {Flag::Kind::setting, 0, true, std::move(key)};
  return {};
}

Flag CommandLine::short_flag(char letter) const {
  if (command_ != nullptr) {
    const auto options = command_->options();
    for (std::size_t i = 0; i < options.size(); ++i) {
      if (options[i].letter == letter) return {Flag::Kind::option, i, !options[i].value.empty(), {}};
    }
  }
  const auto globals = detail::global_flags();
  for (std::size_t i = 0; i < globals.size(); ++i) {
    if (globals[i].letter == letter) return {Flag::Kind::global, i, !globals[i].value.empty(), {}};
    if (letter == 'v' && command_ == nullptr && globals[i].name == "version") return {Flag::Kind::global, i, false, {}};
  }
  return {};
}

bool CommandLine::takes_value_somewhere(std::string_view name) const {
  const Flag flag = long_flag(name);
  if (flag.kind != Flag::Kind::unknown) return flag.takes_value;
  for (const auto& command : program_.commands) {
    for (const auto& option : command->options()) {
      if (option.name == name) return !option.value.empty();
    }
  }
  return false;
}

bool CommandLine::letter_takes_value_somewhere(char letter) const {
  for (const auto& command : program_.commands) {
    for (const auto& option : command->options()) {
      if (option.letter == letter) return !option.value.empty();
    }
  }
  return false;
}

/// Flags may stand before the command, and what they mean depends on it: so first the words that may be it.
std::vector<std::size_t> CommandLine::leading_words() const {
  constexpr std::size_t longest_name = 3;
  std::vector<std::size_t> words;
  for (std::size_t at = 0; at < arguments_.size() && words.size() < longest_name; ++at) {
    const std::string_view word = arguments_[at];
    if (word == "--") {
      if (words.empty() && at + 1 < arguments_.size()) words.push_back(at + 1);
      break;
    }
    if (word.starts_with("--")) {
      if (word.find('=') == std::string_view::npos && takes_value_somewhere(word.substr(2))) ++at;
    } else if (word.size() > 1 && word.front() == '-') {
      for (std::size_t i = 1; i < word.size(); ++i) {
        if (!letter_takes_value_somewhere(word[i])) continue;
        if (i + 1 == word.size()) ++at;
        break;
      }
    } else {
      words.push_back(at);
    }
  }
  return words;
}

/// The command with the longest name that the words begin with: "st check read".
void CommandLine::find_command(std::vector<std::size_t> words) {
  for (; !words.empty() && command_ == nullptr; words.pop_back()) {
    std::string name;
    for (const std::size_t at : words) name.append(name.empty() ? "" : " ").append(arguments_[at]);
    command_ = detail::find_command(program_, name);
    command_at_ = words;
  }
}

bool CommandLine::complain(std::string line, std::string explanation) {
  const std::string_view name = command_ != nullptr ? command_->name() : std::string_view();
  parsed_.exit_status = exit_status(name, Errc::usage);
  parsed_.print = line + "\n";
  parsed_.complaint = fmt::format("{}: {}{}{}\n", program_.name, line, explanation.empty() ? "" : ": ", explanation);
  if (command_ != nullptr) {
    parsed_.complaint += fmt::format("Usage: {} {}\n", program_.name, detail::usage_of(*command_));
  } else if (builtin_ != nullptr) {
    parsed_.complaint += fmt::format("Usage: {} {} {}\n", program_.name, builtin_->name, builtin_->arguments);
  }
  parsed_.complaint += fmt::format("See '{0}{1}{2} --help'.\n", program_.name, name.empty() ? "" : " ", name);
  parsed_.command = nullptr;
  return false;
}

bool CommandLine::invalid(std::string_view text, std::string_view shown, std::string_view accepted) {
  return complain(fmt::format("invalid argument {} for \"{}\"", json_string(text), shown),
                  fmt::format("give {}", accepted));
}

bool CommandLine::unknown_flag(std::string_view name) {
  std::vector<std::string> candidates;
  if (command_ != nullptr) {
    for (const auto& option : command_->options()) candidates.emplace_back(option.name);
  }
  for (const GlobalFlag& flag : detail::global_flags()) candidates.emplace_back(flag.name);
  for (const std::string& key : detail::all_keys(program_)) candidates.push_back(detail::flag_of_key(key).substr(2));
  const auto near = nearest(name, candidates);
  return complain(fmt::format("unknown flag: --{}", name), near ? fmt::format("did you mean --{}?", *near) : "");
}

bool CommandLine::apply_global(const GlobalFlag& flag, std::string_view shown, std::string_view text) {
  if (flag.name == "config") {
    if (text.empty()) return invalid(text, shown, "the path of a settings file");
    parsed_.config_path = text;
  } else if (flag.name == "log-format") {
    if (text != "text" && text != "json") return invalid(text, shown, "text or json");
    parsed_.log_format = text;
  } else {
    const auto value = config::parse_bool(text);
    if (!value) return invalid(text, shown, "true or false");
    if (flag.name == "turbo") parsed_.turbo = *value;
    if (flag.name == "help") wants_help_ = *value;
    if (flag.name == "version") wants_version_ = *value;
    if (flag.name != "turbo") return true;
  }
  parsed_.global_arguments.push_back(fmt::format("--{}={}", flag.name, text));
  return true;
}

bool CommandLine::apply(const Flag& flag, std::string_view shown, std::string_view text) {
  switch (flag.kind) {
    case Flag::Kind::option:
      if (const auto accepted = command_->set_option(flag.index, text)) return invalid(text, shown, *accepted);
      break;
    case Flag::Kind::global:
      return apply_global(detail::global_flags()[flag.index], shown, text);
    case Flag::Kind::setting:
      parsed_.setting_flags.emplace_back(flag.key, text);
      parsed_.global_arguments.push_back(fmt::format("{}={}", detail::flag_of_key(flag.key), text));
      break;
    case Flag::Kind::unknown:
      break;
  }
  return true;
}

bool CommandLine::read_long(std::size_t& at) {
  const std::string_view word = arguments_[at];
  const auto equals = word.find('=');
  const std::string_view name = word.substr(2, equals == std::string_view::npos ? equals : equals - 2);
  if (name.empty() || name.front() == '-') return complain(fmt::format("bad flag syntax: {}", word));
  const Flag flag = long_flag(name);
  if (flag.kind == Flag::Kind::unknown) return unknown_flag(name);
  const std::string shown = fmt::format("--{}", name);
  if (equals != std::string_view::npos) return apply(flag, shown, word.substr(equals + 1));
  if (!flag.takes_value) return apply(flag, shown, "true");
  if (at + 1 == arguments_.size()) return complain(fmt::format("flag needs an argument: {}", shown));
  return apply(flag, shown, arguments_[++at]);
}

/// "-pf", "-p=false", "-nVALUE", "-n=VALUE", "-n VALUE".
bool CommandLine::read_short(std::size_t& at) {
  const std::string_view word = arguments_[at];
  for (std::size_t i = 1; i < word.size(); ++i) {
    const Flag flag = short_flag(word[i]);
    if (flag.kind == Flag::Kind::unknown) {
      return complain(fmt::format("unknown shorthand flag: '{}' in {}", word[i], word));
    }
    const std::string shown = fmt::format("-{}", word[i]);
    const std::string_view rest = word.substr(i + 1);
    if (rest.starts_with('=')) return apply(flag, shown, rest.substr(1));
    if (flag.takes_value) {
      if (!rest.empty()) return apply(flag, shown, rest);
      if (at + 1 == arguments_.size())
        return complain(fmt::format("flag needs an argument: '{}' in {}", word[i], word));
      return apply(flag, shown, arguments_[++at]);
    }
    if (!apply(flag, shown, "true")) return false;
  }
  return true;
}

bool CommandLine::read_all() {
  bool flags_ended = false;
  for (std::size_t at = 0; at < arguments_.size(); ++at) {
    const std::string_view word = arguments_[at];
    if (std::ranges::find(command_at_, at) != command_at_.end()) continue;
    if (flags_ended || word.size() < 2 || word.front() != '-') {
      positionals_.push_back(word);
    } else if (word == "--") {
      flags_ended = true;
    } else if (!(word[1] == '-' ? read_long(at) : read_short(at))) {
      return false;
    }
  }
  return true;
}

void CommandLine::unknown_command(std::string_view word) {
  std::vector<std::string> candidates;
  for (const auto& command : program_.commands) {
    if (!command->hidden()) candidates.emplace_back(command->name());
  }
  for (const detail::Builtin& builtin : detail::builtins()) candidates.emplace_back(builtin.name);
  const auto near = nearest(word, candidates);
  std::erase_if(candidates, [&](const std::string& name) { return !name.starts_with(std::string(word) + ' '); });
  std::string explanation;
  if (!candidates.empty()) {
    explanation = fmt::format("there are: {}", fmt::join(candidates, ", "));
  } else if (near) {
    explanation = fmt::format("did you mean '{}'?", *near);
  }
  complain(fmt::format("unknown command {} for \"{}\"", json_string(word), quoted_program), std::move(explanation));
}

/// Empty if the number of positionals is right.
std::string CommandLine::count_complaint() const {
  const auto declared = command_->positionals();
  const bool any_number = !declared.empty() && declared.back().repeated;
  const std::size_t most = any_number ? positionals_.size() : declared.size();
  const auto least = static_cast<std::size_t>(
      std::count_if(declared.begin(), declared.end(), [](const auto& positional) { return positional.required; }));
  const std::size_t given = positionals_.size();
  if (given >= least && given <= most) return {};
  if (any_number) return fmt::format("requires at least {} arg(s), only received {}", least, given);
  if (most == 0) {
    return fmt::format("unknown command {} for \"{} {}\"", json_string(positionals_.front()), quoted_program,
                       command_->name());
  }
  if (least == most) return fmt::format("accepts {} arg(s), received {}", most, given);
  if (least == 0) return fmt::format("accepts at most {} arg(s), received {}", most, given);
  return fmt::format("accepts between {} and {} arg(s), received {}", least, most, given);
}

void CommandLine::take_positionals() {
  if (std::string wrong = count_complaint(); !wrong.empty()) {
    complain(std::move(wrong));
    return;
  }
  const auto declared = command_->positionals();
  for (std::size_t i = 0; i < positionals_.size(); ++i) {
    if (const auto accepted = command_->set_positional(i, positionals_[i])) {
      invalid(positionals_[i], detail::placeholder(declared[std::min(i, declared.size() - 1)]), *accepted);
      return;
    }
  }
  parsed_.command = command_;
}

void CommandLine::help() {
  if (positionals_.empty()) {
    parsed_.print = help_text(program_);
    return;
  }
  std::string word;
  for (const std::string_view part : positionals_) word.append(word.empty() ? "" : " ").append(part);
  if (const AnyCommand* command = detail::find_command(program_, word)) {
    parsed_.print = manual_text(program_, *command);
    return;
  }
  if (const detail::Builtin* builtin = detail::find_builtin(word)) {
    parsed_.print =
        fmt::format("Usage: {} {} {}\n\n{}.\n", program_.name, builtin->name, builtin->arguments, builtin->summary);
    return;
  }
  std::string key = detail::key_of_word(word);
  if (detail::accepts_key(program_, key)) {
    parsed_.help_setting = std::move(key);
    return;
  }
  std::vector<std::string> candidates = detail::all_keys(program_);
  for (const auto& command : program_.commands) candidates.emplace_back(command->name());
  auto near = nearest(key, candidates);
  if (!near) near = nearest(word, candidates);
  complain(fmt::format("unknown help topic {}", json_string(word)), near ? fmt::format("did you mean {}?", *near) : "");
}

void CommandLine::run_builtin(std::string_view name) {
  if (name == "help") return help();
  if (name == "flags") {
    parsed_.print = setting_flags_text(program_);
    return;
  }
  if (positionals_.size() != 1) {
    complain(fmt::format("accepts 1 arg(s), received {}", positionals_.size()), "name the shell: bash, zsh or fish");
    return;
  }
  parsed_.print = completion(program_, positionals_.front());
  if (parsed_.print.empty()) invalid(positionals_.front(), "completion", "bash, zsh or fish");
}

Parsed CommandLine::parse() {
  find_command(leading_words());
  if (command_ != nullptr) {
    command_->reset();
  } else if (!command_at_.empty()) {
    const std::string_view word = arguments_[command_at_.front()];
    builtin_ = detail::find_builtin(word);
    if (builtin_ == nullptr) {
      unknown_command(word);
      return std::move(parsed_);
    }
  }
  if (!read_all()) return std::move(parsed_);
  if (wants_version_) {
    parsed_.print = fmt::format("{} version {}\t{}\tPostgreSQL\n", program_.name, program_.version, program_.revision);
  } else if (wants_help_ && command_ != nullptr) {
    parsed_.print = help_text(program_, *command_);
  } else if (wants_help_ && builtin_ != nullptr) {
    positionals_ = {builtin_->name};
    help();
  } else if (builtin_ != nullptr) {
    run_builtin(builtin_->name);
  } else if (command_ != nullptr) {
    take_positionals();
  } else {
    parsed_.print = help_text(program_);
  }
  return std::move(parsed_);
}

}  // namespace

Parsed parse_command_line(const Program& program, std::span<const char* const> arguments) {
  return CommandLine(program, arguments).parse();
}

}  // namespace seawall::cli
