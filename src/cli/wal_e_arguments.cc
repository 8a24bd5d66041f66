#include "cli/wal_e_arguments.hh"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <variant>
#include <vector>

#include "base/text.hh"

namespace seawall::cli {
namespace {

using Target = std::variant<bool WalEArguments::*, int WalEArguments::*, std::optional<int> WalEArguments::*,
                            std::optional<long long> WalEArguments::*, std::string WalEArguments::*, std::monostate>;

struct Option {
  std::string_view name;
  char letter;
  Target target;
  bool hidden = false;
};

struct Positional {
  std::string_view name;
  Target target;
  bool required = true;
};

struct Grammar {
  std::string_view name;
  std::string_view summary;
  std::vector<Option> options;
  std::vector<Positional> positionals;
};

using A = WalEArguments;

const std::vector<Option>& global_options() {
  static const std::vector<Option> options{{"aws-access-key-id", 'k', &A::access_key_id},
                                           {"aws-instance-profile", 0, &A::instance_profile},
                                           {"gs-access-key-id", 0, std::monostate{}},
                                           {"wabs-account-name", 'a', &A::account_name},
                                           {"s3-prefix", 0, &A::s3_prefix},
                                           {"wabs-prefix", 0, &A::wabs_prefix},
                                           {"gs-prefix", 0, &A::gs_prefix},
                                           {"file-prefix", 0, &A::file_prefix},
                                           {"gpg-key-id", 0, &A::gpg_key_id},
                                           {"terse", 0, &A::terse}};
  return options;
}

const std::vector<Grammar>& grammars() {
  static const std::vector<Grammar> all{
      {"version", "print the version of WAL-E whose place this takes", {}, {}},
      {"backup-fetch",
       "restore a base backup",
       {{"pool-size", 'p', &A::pool_size},
        {"blind-restore", 0, &A::blind_restore},
        {"restore-spec", 0, &A::restore_spec}},
       {{"PG_CLUSTER_DIRECTORY", &A::directory}, {"BACKUP_NAME", &A::name}}},
      {"backup-list", "list base backups", {{"detail", 0, &A::detail}}, {{"QUERY", &A::name, false}}},
      {"backup-push",
       "take a base backup",
       {{"pool-size", 'p', &A::pool_size},
        {"cluster-read-rate-limit", 0, &A::rate_limit},
        {"while-offline", 0, &A::while_offline}},
       {{"PG_CLUSTER_DIRECTORY", &A::directory}}},
      {"wal-push", "archive a WAL file", {{"pool-size", 'p', &A::pool_size}}, {{"WAL_SEGMENT", &A::file}}},
      {"wal-fetch",
       "bring a WAL file back",
       {{"prefetch", 'p', &A::pool_size}},
       {{"WAL_SEGMENT", &A::name}, {"WAL_DESTINATION", &A::file}}},
      {"wal-prefetch",
       "bring a WAL segment into the cache beside pg_wal",
       {{"seawall-ahead", 0, &A::ahead, true}, {"seawall-segment-mib", 0, &A::segment_mib, true}},
       {{"BASE_DIRECTORY", &A::directory}, {"SEGMENT", &A::name}}},
      {"delete",
       "remove backups and WAL: before NAME, retain N, old-versions, everything",
       {{"dry-run", 'n', &A::dry_run}, {"confirm", 0, &A::confirm}},
       {}},
      {"delete before", "", {}, {{"BEFORE_SEGMENT_EXCLUSIVE", &A::name}}},
      {"delete retain", "", {}, {{"NUM_TO_RETAIN", &A::retain}}},
      {"delete old-versions", "", {}, {}},
      {"delete everything", "", {}, {}}};
  return all;
}

const Grammar* find_grammar(std::string_view name) {
  const auto found =
      std::find_if(grammars().begin(), grammars().end(), [&](const Grammar& g) { return g.name == name; });
  return found == grammars().end() ? nullptr : &*found;
}

/// What is wrong with a command line; a value of this file alone.
struct Wrong {
  std::string text;
};

std::string metavar(const Option& option) {
  if (std::holds_alternative<bool A::*>(option.target)) return {};
  if (option.name == "cluster-read-rate-limit") return " BYTES_PER_SECOND";
  std::string name = " ";
  for (const char c : option.name) name.push_back(c == '-' ? '_' : static_cast<char>(std::toupper(c)));
  return name;
}

std::string usage(std::string_view program, const std::vector<Option>& options,
                  const std::vector<Positional>& positionals) {
  std::string line = fmt::format("usage: {} [-h]", program);
  for (const Option& option : options) {
    if (!option.hidden) line += fmt::format(" [--{}{}]", option.name, metavar(option));
  }
  for (const Positional& positional : positionals) {
    line += positional.required ? fmt::format(" {}", positional.name) : fmt::format(" [{}]", positional.name);
  }
  return line;
}

std::string help() {
  std::string text = usage("wal-e", global_options(), {}) + " SUBCOMMAND ...\n\nSubcommands:\n";
  for (const Grammar& grammar : grammars()) {
    if (!grammar.summary.empty()) text += fmt::format("  {:<14} {}\n", grammar.name, grammar.summary);
  }
  return text + "\n'wal-e SUBCOMMAND --help' shows the options of one. docs/moving-from-wal-e.md tells what differs.\n";
}

class Parser {
 public:
  explicit Parser(std::span<const char* const> words) : words_(words) {}

  WalEParsed parse() {
    WalEParsed parsed;
    try {
      parse_globals();
      parsed.globals.assign(words_.begin(), words_.begin() + static_cast<std::ptrdiff_t>(at_));
      if (print_.empty() && at_ < words_.size()) parse_command();
      parsed.print = print_;
      parsed.arguments = into_;
    } catch (const Wrong& wrong) {
      parsed.complaint = fmt::format("{}\n{}: error: {}\n", usage_, program_, wrong.text);
    }
    return parsed;
  }

 private:
  std::string_view word() const { return words_[at_]; }

  void enter(std::string program, const std::vector<Option>& options, const std::vector<Positional>& positionals) {
    program_ = std::move(program);
    usage_ = usage(program_, options, positionals);
  }

  void parse_globals() {
    enter("wal-e", global_options(), {});
    usage_ += " SUBCOMMAND ...";
    while (at_ < words_.size() && word().starts_with('-') && word() != "-") {
      if (asks_for_help()) {
        print_ = help();
        return;
      }
      option(global_options());
    }
    if (!into_.access_key_id.empty() && into_.instance_profile) {
      throw Wrong{"argument --aws-instance-profile: not allowed with argument -k/--aws-access-key-id"};
    }
  }

  void parse_command() {
    std::string name(word());
    const Grammar* grammar = name.find(' ') == std::string::npos ? find_grammar(name) : nullptr;
    if (grammar == nullptr) {
      std::vector<std::string> names;
      for (const Grammar& known : grammars()) {
        if (!known.summary.empty()) names.emplace_back(known.name);
      }
      const auto near = nearest(name, names);
      throw Wrong{fmt::format("there is no subcommand '{}'{}; there are {}", name,
                              near ? fmt::format(" (did you mean {}?)", *near) : "", fmt::join(names, ", "))};
    }
    ++at_;
    into_.command = name;
    if (name != "delete") return parse_words(*grammar, false);
    parse_words(*grammar, true);
    if (!print_.empty() || at_ == words_.size()) return;
    const Grammar* second = find_grammar(fmt::format("delete {}", word()));
    if (second == nullptr) {
      throw Wrong{fmt::format(
          "'{}' is nothing that delete knows; there are before, retain, old-versions and everything", word())};
    }
    ++at_;
    into_.command = second->name;
    parse_words(*second, false);
  }

  /// Options and positionals in any order; `leading`: options alone, up to the first other word.
  void parse_words(const Grammar& grammar, bool leading) {
    enter(fmt::format("wal-e {}", grammar.name), grammar.options, grammar.positionals);
    std::size_t position = 0;
    bool options_end = false;
    while (at_ < words_.size()) {
      if (!options_end && word() == "--") {
        options_end = true;
        ++at_;
      } else if (!options_end && is_option(word(), grammar)) {
        if (asks_for_help()) {
          print_ = usage_ + "\n";
          return;
        }
        option(grammar.options);
      } else if (leading) {
        return;
      } else {
        if (position == grammar.positionals.size()) throw Wrong{fmt::format("unrecognized arguments: {}", word())};
        const Positional& wanted = grammar.positionals[position++];
        assign(wanted.target, wanted.name, word());
        ++at_;
      }
    }
    std::vector<std::string_view> missing;
    for (; position < grammar.positionals.size(); ++position) {
      if (grammar.positionals[position].required) missing.push_back(grammar.positionals[position].name);
    }
    if (!missing.empty()) {
      throw Wrong{fmt::format("the following arguments are required: {}", fmt::join(missing, ", "))};
    }
  }

  /// A negative number is a value where no option looks like one, as argparse has it.
  static bool is_option(std::string_view word, const Grammar&) {
    return word.size() > 1 && word.front() == '-' && !parse_int<long long>(word);
  }

  bool asks_for_help() const {
    return word() == "-h" || (word().size() > 3 && std::string_view("--help").starts_with(word()));
  }

  void option(const std::vector<Option>& options) {
    const std::string_view text = word();
    ++at_;
    if (!text.starts_with("--")) return short_option(options, text);
    const std::size_t equals = text.find('=');
    const std::string_view name = text.substr(2, equals == std::string_view::npos ? equals : equals - 2);
    const Option& found = long_option(options, name, text);
    std::optional<std::string_view> value;
    if (equals != std::string_view::npos) value = text.substr(equals + 1);
    take(found, fmt::format("--{}", found.name), value);
  }

  void short_option(const std::vector<Option>& options, std::string_view text) {
    const auto found = std::find_if(options.begin(), options.end(), [&](const Option& option) {
      return option.letter != 0 && option.letter == text[1];
    });
    if (found == options.end()) throw Wrong{fmt::format("unrecognized arguments: {}", text)};
    std::optional<std::string_view> value;
    if (text.size() > 2) value = text.substr(text[2] == '=' ? 3 : 2);
    take(*found, fmt::format("-{}", found->letter), value);
  }

  static const Option& long_option(const std::vector<Option>& options, std::string_view name, std::string_view text) {
    std::vector<const Option*> fits;
    for (const Option& option : options) {
      if (option.name == name) return option;
      if (!option.hidden && option.name.starts_with(name)) fits.push_back(&option);
    }
    if (fits.empty()) throw Wrong{fmt::format("unrecognized arguments: {}", text)};
    if (fits.size() == 1) return *fits.front();
    std::vector<std::string> names;
    for (const Option* option : fits) names.push_back(fmt::format("--{}", option->name));
    throw Wrong{fmt::format("ambiguous option: {} could match {}", text, fmt::join(names, ", "))};
  }

  void take(const Option& option, std::string_view shown, std::optional<std::string_view> value) {
    if (const auto* flag = std::get_if<bool A::*>(&option.target)) {
      if (value) throw Wrong{fmt::format("argument {}: ignored explicit argument '{}'", shown, *value)};
      into_.*(*flag) = true;
      return;
    }
    if (!value) {
      if (at_ == words_.size() || (word().starts_with('-') && word().size() > 1 && !parse_int<long long>(word()))) {
        throw Wrong{fmt::format("argument {}: expected one argument", shown)};
      }
      value = word();
      ++at_;
    }
    assign(option.target, shown, *value);
  }

  template <class T>
  static T number(std::string_view shown, std::string_view text) {
    const auto parsed = parse_int<T>(trim(text));
    if (!parsed) throw Wrong{fmt::format("argument {}: invalid int value: '{}'", shown, text)};
    return *parsed;
  }

  void assign(const Target& target, std::string_view shown, std::string_view text) {
    if (const auto* words = std::get_if<std::string A::*>(&target)) {
      into_.*(*words) = text;
    } else if (const auto* plain = std::get_if<int A::*>(&target)) {
      into_.*(*plain) = number<int>(shown, text);
    } else if (const auto* some = std::get_if<std::optional<int> A::*>(&target)) {
      into_.*(*some) = number<int>(shown, text);
    } else if (const auto* large = std::get_if<std::optional<long long> A::*>(&target)) {
      into_.*(*large) = number<long long>(shown, text);
    }
  }

  std::span<const char* const> words_;
  std::size_t at_ = 0;
  WalEArguments into_;
  std::string print_;
  std::string program_;
  std::string usage_;
};

}  // namespace

WalEParsed parse_wal_e_arguments(std::span<const char* const> arguments) { return Parser(arguments).parse(); }

}  // namespace seawall::cli
