#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/text.hh"
#include "cli/command.hh"

namespace seawall::cli::detail {

/// What a bound member accepts from text; nothing is changed if it does not.
template <class Field>
std::optional<std::string> assign(Field& field, std::string_view text) {
  if constexpr (std::is_same_v<Field, bool>) {
    const auto value = config::parse_bool(text);
    if (!value) return "true or false";
    field = *value;
  } else if constexpr (std::is_same_v<Field, int>) {
    const auto value = parse_int<int>(text);
    if (!value) return "a whole number";
    field = *value;
  } else if constexpr (std::is_same_v<Field, std::vector<std::string>>) {
    field.emplace_back(text);
  } else {
    field = std::string(text);
  }
  return std::nullopt;
}

/// The erased face of a Command, holding the arguments of one run.
template <class Args>
class TypedCommand final : public AnyCommand {
 public:
  explicit TypedCommand(Command<Args> command) : command_(std::move(command)) {}

  std::string_view name() const override { return command_.name; }
  std::string_view summary() const override { return command_.summary; }
  std::string_view manual() const override { return command_.manual; }
  bool hidden() const override { return command_.hidden; }
  std::vector<OptionInfo> positionals() const override { return infos(command_.positionals); }
  std::vector<OptionInfo> options() const override { return infos(command_.options); }
  std::span<const Errc> fails_with() const override { return command_.fails_with; }
  void reset() override { args_ = Args{}; }
  std::optional<std::string> set_positional(std::size_t index, std::string_view text) override {
    return set(command_.positionals.at(std::min(index, command_.positionals.size() - 1)), text);
  }
  std::optional<std::string> set_option(std::size_t index, std::string_view text) override {
    return set(command_.options.at(index), text);
  }
  int run(App& app) override { return command_.run(args_, app); }

 private:
  static std::vector<OptionInfo> infos(const std::vector<Option<Args>>& options) {
    std::vector<OptionInfo> all;
    all.reserve(options.size());
    for (const Option<Args>& option : options) {
      const bool repeated = std::holds_alternative<std::vector<std::string> Args::*>(option.field);
      all.push_back({option.name, option.value, option.help, option.letter, option.required, repeated});
    }
    return all;
  }
  std::optional<std::string> set(const Option<Args>& option, std::string_view text) {
    return std::visit([&](auto field) { return assign(args_.*field, text); }, option.field);
  }

  Command<Args> command_;
  Args args_{};
};

}  // namespace seawall::cli::detail

namespace seawall::cli {

template <class Args>
std::unique_ptr<AnyCommand> make_command(Command<Args> command) {
  return std::make_unique<detail::TypedCommand<Args>>(std::move(command));
}

}  // namespace seawall::cli
