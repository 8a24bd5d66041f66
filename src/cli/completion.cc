#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/text.hh"
#include "cli/detail/declared.hh"
#include "cli/program.hh"

namespace seawall::cli {
namespace {

using Option = AnyCommand::OptionInfo;

std::vector<const AnyCommand*> visible(const Program& program) {
  std::vector<const AnyCommand*> commands;
  for (const auto& command : program.commands) {
    if (!command->hidden()) commands.push_back(command.get());
  }
  return commands;
}

std::vector<Option> globals() {
  std::vector<Option> options;
  for (const auto& flag : detail::global_flags())
    options.push_back({flag.name, flag.value, flag.help, flag.letter, false});
  return options;
}

/// "st" of "st check read".
std::string_view first_word(std::string_view name) { return name.substr(0, name.find(' ')); }

/// What can follow `first`, the beginning of names of several words; empty if nothing does.
std::string following_words(const Program& program, std::string_view first) {
  std::vector<std::string_view> words;
  for (const AnyCommand* command : visible(program)) {
    if (first_word(command->name()) != first) continue;
    for (const std::string_view word : split(command->name(), ' ')) {
      if (word != first && std::ranges::find(words, word) == words.end()) words.push_back(word);
    }
  }
  return fmt::format("{}", fmt::join(words, " "));
}

/// The first words of all commands, each once.
std::string command_words(const Program& program) {
  std::string words;
  std::string_view before;
  for (const AnyCommand* command : visible(program)) {
    const std::string_view word = first_word(command->name());
    if (word != before) words += fmt::format("{} ", word);
    before = word;
  }
  for (const auto& builtin : detail::builtins()) words += fmt::format("{} ", builtin.name);
  return std::string(trim(words));
}

std::string setting_words(const Program& program) {
  std::string words;
  for (const config::SettingBase* setting : program.settings) words += fmt::format("{} ", setting->describe().name);
  return std::string(trim(words));
}

std::string setting_flag_words(const Program& program) {
  std::string words;
  for (const config::SettingBase* setting : program.settings) {
    words += detail::flag_of_key(setting->describe().name) + " ";
  }
  return std::string(trim(words));
}

std::string flag_words(const std::vector<Option>& options, bool only_with_value, char separator) {
  std::string words;
  for (const Option& option : options) {
    if (only_with_value && option.value.empty()) continue;
    if (!words.empty()) words += separator;
    words += fmt::format("--{}", option.name);
    if (option.letter != 0) words += fmt::format("{}-{}", separator, option.letter);
  }
  return words;
}

/// A shell's function name: program names may hold a '-'.
std::string function_name(const Program& program) {
  std::string name = fmt::format("_{}", program.name);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string in_single_quotes(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

constexpr std::string_view bash_script =
    R"script(# bash completion for @PROGRAM@: put it into /etc/bash_completion.d, or run
#   eval "$(@PROGRAM@ completion bash)"
@FUNCTION@() {
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
  local names=$'\n@NAMES@'
  local command='' flags='' valued='@GLOBALS_WITH_VALUE@' word skip=0 i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if ((skip)); then skip=0; continue; fi
    case $word in
      @GLOBALS_WITH_VALUE_CASE@) skip=1 ;;
      -*) ;;
      *)
        [[ -z $command || $names == *$'\n'"$command $word"[$' \n']* ]] || break
        command=${command:+$command }$word ;;
    esac
  done
  case $command in
@COMMANDS@  esac
  if [[ $before == --log-format ]]; then
    COMPREPLY=($(compgen -W 'text json' -- "$current"))
  elif [[ $before == -* && " $valued " == *" $before "* ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$flags @GLOBALS@" -- "$current"))
    if ((${#COMPREPLY[@]} == 0)); then
      COMPREPLY=($(compgen -W '@SETTING_FLAGS@' -- "$current"))
    fi
  elif [[ -z $command ]]; then
    COMPREPLY=($(compgen -W '@COMMAND_WORDS@' -- "$current"))
  elif [[ $names == *$'\n'"$command "* ]]; then
    COMPREPLY=($(compgen -W "$(sed -n "s/^$command \([^ ]*\).*/\1/p" <<<"$names")" -- "$current"))
  elif [[ $command == help ]]; then
    COMPREPLY=($(compgen -W '@COMMAND_WORDS@ @SETTINGS@' -- "$current"))
  elif [[ $command == completion ]]; then
    COMPREPLY=($(compgen -W 'bash zsh fish' -- "$current"))
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -F @FUNCTION@ @PROGRAM@
)script";

constexpr std::string_view zsh_script = R"script(#compdef @PROGRAM@
# zsh completion for @PROGRAM@: put it as _@PROGRAM@ into a directory of $fpath, or run
#   source <(@PROGRAM@ completion zsh)
@FUNCTION@() {
  local curcontext=$curcontext state line
  local -a commands global_flags
  commands=(
@COMMANDS@  )
  global_flags=(
@GLOBALS@  )
  _arguments -C $global_flags '1:command:->command' '*::argument:->argument' && return
  case $state in
    command) _describe command commands ;;
    argument)
      case $words[1] in
@ARGUMENTS@      esac ;;
  esac
}
if [[ $funcstack[1] == _@PROGRAM@ ]]; then
  @FUNCTION@ "$@"
else
  compdef @FUNCTION@ @PROGRAM@
fi
)script";

/// Replaces each @NAME@; what is put in is not looked at again.
std::string filled(std::string_view script, const std::vector<std::pair<std::string_view, std::string>>& values) {
  std::string out;
  while (true) {
    const auto start = script.find('@');
    if (start == std::string_view::npos) return out.append(script);
    const auto end = script.find('@', start + 1);
    const std::string_view name = script.substr(start + 1, end == std::string_view::npos ? 0 : end - start - 1);
    const auto value = std::find_if(values.begin(), values.end(), [&](const auto& v) { return v.first == name; });
    if (value == values.end()) {
      out.append(script.substr(0, start + 1));
      script.remove_prefix(start + 1);
      continue;
    }
    out.append(script.substr(0, start)).append(value->second);
    script.remove_prefix(end + 1);
  }
}  // namespace

std::string bash(const Program& program) {
  std::string commands;
  std::string names;
  for (const AnyCommand* command : visible(program)) {
    const auto options = command->options();
    names += fmt::format("{}\\n", command->name());
    commands += fmt::format("    '{}') flags='{}'; valued+=' {}' ;;\n", command->name(),
                            flag_words(options, false, ' '), flag_words(options, true, ' '));
  }
  return filled(bash_script, {{"PROGRAM", std::string(program.name)},
                              {"FUNCTION", function_name(program)},
                              {"GLOBALS", flag_words(globals(), false, ' ')},
                              {"GLOBALS_WITH_VALUE", flag_words(globals(), true, ' ')},
                              {"GLOBALS_WITH_VALUE_CASE", flag_words(globals(), true, '|')},
                              {"NAMES", names},
                              {"COMMANDS", commands},
                              {"COMMAND_WORDS", command_words(program)},
                              {"SETTINGS", setting_words(program)},
                              {"SETTING_FLAGS", setting_flag_words(program)}});
}

/// "'--name[help]:VALUE:_files'" as _arguments reads it: brackets and colons of the texts are escaped.
std::string zsh_option(const Option& option) {
  std::string help;
  for (const char c : option.help) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') help += '\\';
    help += c;
  }
  const std::string value = option.value.empty() ? std::string() : fmt::format(":{}:_files", option.value);
  const std::string long_name = fmt::format("--{}", option.name);
  if (option.letter == 0) return in_single_quotes(fmt::format("{}[{}]{}", long_name, help, value));
  return fmt::format("'(-{0} {1})'{{-{0},{1}}}{2}", option.letter, long_name,
                     in_single_quotes(fmt::format("[{}]{}", help, value)));
}

std::string zsh(const Program& program) {
  std::string commands;
  std::string arguments;
  std::string global_flags;
  const auto describe = [&](std::string_view name, std::string_view summary) {
    commands += fmt::format("    {}\n", in_single_quotes(fmt::format("{}:{}", name, summary)));
  };
  std::string_view before;
  for (const AnyCommand* command : visible(program)) {
    const std::string_view name = first_word(command->name());
    const std::string following = following_words(program, name);
    if (name != before) describe(name, following.empty() ? command->summary() : following);
    // Of names with the same first word the first one's branch is taken.
    if (name == before) continue;
    before = name;
    arguments += fmt::format("        {}) _arguments $global_flags", name);
    for (const Option& option : command->options()) arguments += " " + zsh_option(option);
    arguments += following.empty() ? " '*:file:_files' ;;\n" : fmt::format(" '*:word:({})' ;;\n", following);
  }
  for (const auto& builtin : detail::builtins()) describe(builtin.name, builtin.summary);
  arguments += fmt::format("        help) compadd {} {} ;;\n", command_words(program), setting_words(program));
  arguments += "        completion) compadd bash zsh fish ;;\n";
  for (const Option& option : globals()) global_flags += fmt::format("    {}\n", zsh_option(option));
  return filled(zsh_script, {{"PROGRAM", std::string(program.name)},
                             {"FUNCTION", function_name(program)},
                             {"COMMANDS", commands},
                             {"GLOBALS", global_flags},
                             {"ARGUMENTS", arguments}});
}

std::string fish_option(const Program& program, const Option& option, std::string_view condition) {
  std::string line = fmt::format("complete -c {}", program.name);
  if (!condition.empty()) line += fmt::format(" -n {}", in_single_quotes(condition));
  line += fmt::format(" -l {}", option.name);
  if (option.letter != 0) line += fmt::format(" -s {}", option.letter);
  if (option.name == "log-format")
    line += " -x -a 'text json'";
  else if (!option.value.empty())
    line += " -r -F";
  // fish knows two escapes inside single quotes, and '\'' is none of them.
  std::string help;
  for (const char c : option.help) help += c == '\'' || c == '\\' ? fmt::format("\\{}", c) : std::string(1, c);
  return line + fmt::format(" -d '{}'\n", help);
}

std::string fish(const Program& program) {
  std::string script =
      fmt::format("# fish completion for {0}: save it as ~/.config/fish/completions/{0}.fish\n", program.name);
  const auto word = [&](std::string_view name, std::string_view summary) {
    std::string text;
    for (const char c : summary) text += c == '\'' || c == '\\' ? fmt::format("\\{}", c) : std::string(1, c);
    script += fmt::format("complete -c {} -n __fish_use_subcommand -f -a {} -d '{}'\n", program.name, name, text);
  };
  for (const AnyCommand* command : visible(program)) {
    const std::string_view name = first_word(command->name());
    const std::string following = following_words(program, name);
    if (following.empty()) {
      word(name, command->summary());
    } else if (script.find(fmt::format("_from {} ", name)) == std::string::npos) {
      word(name, following);
      script += fmt::format("complete -c {} -n '__fish_seen_subcommand_from {} ' -f -a '{}'\n", program.name, name,
                            following);
    }
  }
  for (const auto& builtin : detail::builtins()) word(builtin.name, builtin.summary);
  for (const Option& option : globals()) script += fish_option(program, option, "");
  for (const AnyCommand* command : visible(program)) {
    const std::string condition = fmt::format("__fish_seen_subcommand_from {}", first_word(command->name()));
    for (const Option& option : command->options()) script += fish_option(program, option, condition);
  }
  script += fmt::format("complete -c {} -n '__fish_seen_subcommand_from help' -f -a '{} {}'\n", program.name,
                        command_words(program), setting_words(program));
  script +=
      fmt::format("complete -c {} -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'\n", program.name);
  return script;
}

}  // namespace

std::string completion(const Program& program, std::string_view shell) {
  if (shell == "bash") return bash(program);
  if (shell == "zsh") return zsh(program);
  if (shell == "fish") return fish(program);
  return {};
}

}  // namespace seawall::cli
