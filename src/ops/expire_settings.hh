#pragma once

#include <optional>
#include <string_view>

#include "archive/expire.hh"
#include "config/setting.hh"

namespace seawall::ops {

/// The retention rule of an archive, for `expire` and `info`; docs/retention.md draws what each keeps.
struct ExpireSettings : config::Group {
  using Count = config::Setting<unsigned>;
  static config::About<unsigned> about(std::string_view name, std::string_view doc) {
    return {.name = name, .range = {{0, 100000}}, .doc = doc};
  }
  Count keep_full{*this,
                  about("SEAWALL_KEEP_FULL", "expire keeps the newest N full backups, and all since. 0: no rule.")};
  Count keep_days{*this, about("SEAWALL_KEEP_DAYS",
                               "expire keeps what recovery to any moment of the last N days needs. 0: no rule.")};
  Count keep_daily{*this, about("SEAWALL_KEEP_DAILY",
                                "expire keeps the last backup of each of the last N days that have one. 0: no rule.")};
  Count keep_weekly{*this, about("SEAWALL_KEEP_WEEKLY",
                                 "expire keeps the last backup of N weeks, with its own WAL only. 0: no rule.")};
  Count keep_monthly{*this, about("SEAWALL_KEEP_MONTHLY",
                                  "expire keeps the last backup of N months, with its own WAL only. 0: no rule.")};
  Count keep_yearly{*this, about("SEAWALL_KEEP_YEARLY",
                                 "expire keeps the last backup of N years, with its own WAL only. 0: no rule.")};
  Count keep_at_least{*this, about("SEAWALL_KEEP_AT_LEAST",
                                   "expire leaves N full backups with their deltas whatever the other rules say. 0: no "
                                   "rule.")};

  archive::ExpireRules rules() const {
    const auto rule = [](const Count& setting) {
      return setting() == 0 ? std::nullopt : std::optional<unsigned>(setting());
    };
    return {.keep_full = rule(keep_full),
            .keep_days = rule(keep_days),
            .keep_daily = rule(keep_daily),
            .keep_weekly = rule(keep_weekly),
            .keep_monthly = rule(keep_monthly),
            .keep_yearly = rule(keep_yearly),
            .keep_at_least = rule(keep_at_least)};
  }
};

}  // namespace seawall::ops
