#pragma once

#include <string>
#include <utility>
#include <vector>

#include "schedule/cron.hh"

namespace seawall::schedule {

/// One command of a job.
struct Step {
  std::vector<std::string> words;
  std::string program = {};  ///< the file to run; empty: words[0] by PATH
};

struct Job {
  std::string name;
  Schedule schedule;
  std::vector<Step> steps;   ///< one after the other; the first that fails is the last
  std::string cluster = {};  ///< of which one job runs at a time: its data directory
  std::string directory = {};
  std::vector<std::pair<std::string, std::string>> environment = {};
  std::string save_folder = {};  ///< where its output is written to; empty: nowhere
  bool save_only_on_error = false;
};

}  // namespace seawall::schedule
