#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.hh"
#include "config/setting.hh"

namespace seawall {

/// What a command works with; main builds it (commands/app.hh).
struct App;

}  // namespace seawall

namespace seawall::cli {

/// One option or positional of a command, bound to a member of its plain struct of arguments.
template <class Args>
struct Option {
  std::string_view name;   ///< "target-user-data"; of a positional: "backup_name"
  std::string_view value;  ///< what stands for the value in help: "JSON"; empty: a flag
  std::string_view help;
  /// A vector takes every value that is given; of positionals only the last can be one.
  std::variant<bool Args::*, int Args::*, std::string Args::*, std::optional<std::string> Args::*,
               std::vector<std::string> Args::*>
      field;
  char letter = 0;
  bool required = false;  ///< positionals only
};

/// The type-erased face that parser, help, completion and manual printer work on.
class AnyCommand {
 public:
  struct OptionInfo {
    std::string_view name, value, help;
    char letter;
    bool required;
    bool repeated = false;
  };
  virtual ~AnyCommand() = default;
  virtual std::string_view name() const = 0;
  virtual std::string_view summary() const = 0;
  virtual std::string_view manual() const = 0;  ///< Markdown, embedded from the .md beside the .cc
  virtual bool hidden() const = 0;
  virtual std::vector<OptionInfo> positionals() const = 0;
  virtual std::vector<OptionInfo> options() const = 0;
  virtual std::span<const Errc> fails_with() const = 0;
  /// Back to the defaults; then set positionals and options from text, then run(). An option that is a flag takes
  /// Go's spellings of a boolean. Returned is what is accepted instead if `text` is not, and nothing was set then.
  virtual void reset() = 0;
  virtual std::optional<std::string> set_positional(std::size_t index, std::string_view text) = 0;
  virtual std::optional<std::string> set_option(std::size_t index, std::string_view text) = 0;
  virtual int run(App& app) = 0;
};

/// A command as its .cc declares it.
template <class Args>
struct Command {
  std::string_view name, summary, manual;
  std::vector<Option<Args>> positionals, options;
  std::vector<Errc> fails_with;
  bool hidden = false;
  int (*run)(const Args&, App&);  ///< returns the exit status
};

template <class Args>
std::unique_ptr<AnyCommand> make_command(Command<Args> command);

}  // namespace seawall::cli

#include "cli/detail/typed_command.hh"
