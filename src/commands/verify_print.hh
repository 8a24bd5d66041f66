#pragma once

#include <string>

#include "ops/verify_restore.hh"

/// The report of `restore --verify-only`, each ending with a line break.
namespace seawall::commands {

std::string verify_text(const ops::VerifyReport& report);
std::string verify_json(const ops::VerifyReport& report);
/// As CI servers read JUnit's: one testsuite, a testcase for each step.
std::string verify_junit(const ops::VerifyReport& report);

}  // namespace seawall::commands
