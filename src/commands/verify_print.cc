#include "commands/verify_print.hh"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall::commands {
namespace {

using ops::VerifyReport;
using ops::VerifyStep;
using Outcome = VerifyStep::Outcome;

std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::passed:
      return "passed";
    case Outcome::failed:
      return "failed";
    case Outcome::skipped:
      return "skipped";
  }
  return "";
}

double seconds(std::chrono::nanoseconds duration) { return std::chrono::duration<double>(duration).count(); }

/// For text and attributes; what XML 1.0 cannot hold at all becomes a question mark.
std::string xml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\n':
        escaped += "&#10;";
        break;
      case '\t':
        escaped += "&#9;";
        break;
      default:
        escaped += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    }
  }
  return escaped;
}

std::vector<std::pair<std::string, std::string>> properties(const VerifyReport& report) {
  std::vector<std::pair<std::string, std::string>> all{{"backup", report.backup},
                                                       {"pg_version", std::to_string(report.pg_version / 10000)}};
  if (report.reached) {
    all.emplace_back("lsn", report.reached->lsn);
    all.emplace_back("timeline", report.reached->timeline);
    all.emplace_back("last_transaction", report.reached->time);
  }
  return all;
}

std::chrono::nanoseconds total(const VerifyReport& report) {
  std::chrono::nanoseconds sum{};
  for (const VerifyStep& step : report.steps) sum += step.took;
  return sum;
}

std::size_t count(const VerifyReport& report, Outcome outcome) {
  return static_cast<std::size_t>(std::count_if(report.steps.begin(), report.steps.end(),
                                                [&](const VerifyStep& step) { return step.outcome == outcome; }));
}

}  // namespace

std::string verify_text(const VerifyReport& report) {
  std::string text = fmt::format("Backup {}: {} in {:.1f} s\n", report.backup.empty() ? "(none)" : report.backup,
                                 report.failure() == nullptr ? "restores" : "DOES NOT RESTORE", seconds(total(report)));
  for (const VerifyStep& step : report.steps) {
    text += fmt::format("{:<8}{:<12} {:>7.1f} s  {}\n", name_of(step.outcome), step.name, seconds(step.took),
                        step.detail.substr(0, step.detail.find('\n')));
  }
  return text;
}

std::string verify_json(const VerifyReport& report) {
  std::string json = fmt::format("{{\"ok\":{},\"started\":{},\"seconds\":{:.3f}", report.failure() == nullptr,
                                 json_string(rfc3339(report.started)), seconds(total(report)));
  for (const auto& [name, value] : properties(report)) json += fmt::format(",\"{}\":{}", name, json_string(value));
  json += ",\"steps\":[";
  for (const VerifyStep& step : report.steps) {
    json += fmt::format("{}{{\"name\":{},\"outcome\":\"{}\",\"seconds\":{:.3f},\"detail\":{}{}}}",
                        &step == report.steps.data() ? "" : ",", json_string(step.name), name_of(step.outcome),
                        seconds(step.took), json_string(step.detail),
                        step.outcome == Outcome::failed ? fmt::format(",\"error\":\"{}\"", info(step.code).name) : "");
  }
  return json + "]}\n";
}

std::string verify_junit(const VerifyReport& report) {
  std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n";
  text += fmt::format(
      "  <testsuite name=\"seawall restore --verify-only\" tests=\"{}\" failures=\"{}\" errors=\"0\" "
      "skipped=\"{}\" time=\"{:.3f}\" timestamp=\"{}\">\n    <properties>\n",
      report.steps.size(), count(report, Outcome::failed), count(report, Outcome::skipped), seconds(total(report)),
      rfc3339(report.started));
  for (const auto& [name, value] : properties(report)) {
    text += fmt::format("      <property name=\"{}\" value=\"{}\"/>\n", name, xml(value));
  }
  text += "    </properties>\n";
  for (const VerifyStep& step : report.steps) {
    text += fmt::format("    <testcase classname=\"seawall.restore\" name=\"{}\" time=\"{:.3f}\">", xml(step.name),
                        seconds(step.took));
    const std::string detail = xml(step.detail);
    if (step.outcome == Outcome::failed) {
      text += fmt::format("<failure type=\"{}\" message=\"{}\"/>", info(step.code).name, detail);
    } else if (step.outcome == Outcome::skipped) {
      text += fmt::format("<skipped message=\"{}\"/>", detail);
    } else {
      text += fmt::format("<system-out>{}</system-out>", detail);
    }
    text += "</testcase>\n";
  }
  return text + "  </testsuite>\n</testsuites>\n";
}

}  // namespace seawall::commands
