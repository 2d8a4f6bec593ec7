"""The dev servers that systems have as packages: those that are installed are tried."""

from __future__ import annotations

from trial import BEFORE, HTML, Trial

__all__ = ["SYSTEM"]

RAILS = {
    "Gemfile": "",
    "bin/rails": '#!/usr/bin/env ruby\nAPP_PATH = File.expand_path("../config/application", __dir__)\n'
                 'require_relative "../config/boot"\nrequire "rails/commands"\n',
    "config/boot.rb": "",
    "config/application.rb": 'require "rails"\nrequire "action_controller/railtie"\nmodule Shop\n'
                             "  class Application < Rails::Application\n    config.load_defaults Rails::VERSION::STRING.to_f\n"
                             "    config.eager_load = false\n    config.secret_key_base = \"x\" * 64\n  end\nend\n",
    "config/environment.rb": 'require_relative "application"\nRails.application.initialize!\n',
    "config/routes.rb": 'Rails.application.routes.draw { root to: "pages#index" }\n',
    "config/puma.rb": 'port ENV.fetch("PORT", 3000)\n',
    "config.ru": 'require_relative "config/environment"\nrun Rails.application\n',
    "app/controllers/pages_controller.rb": "class PagesController < ActionController::Base\n  def index\n"
                                           f'    render html: "<p>{BEFORE}</p>".html_safe\n  end\nend\n',
}  # fmt: skip

SYSTEM = (
    Trial("Rails", "rails --version", "ruby bin/rails server", RAILS),
    Trial("Hugo", "hugo version", "hugo server",
          {"config.toml": 'title = "shop"\n', "layouts/index.html": HTML}, (), "layouts/index.html", True),
    Trial("Jekyll", "jekyll --version", "jekyll serve --livereload",
          {"_config.yml": "title: shop\n", "index.html": f"---\n---\n{HTML}"}, (), "index.html", True),
    Trial("PHP", "php --version", "php -S 127.0.0.1:$PORT", {"index.php": f"<p><?= '{BEFORE}' ?></p>\n"}),
    Trial("Phoenix", "mix phx.new --version", "mix phx.server", {}),
    Trial("Laravel", "laravel --version", "php artisan serve", {}),
    Trial("Spring Boot", "mvn --version", "mvn spring-boot:run", {}),
)  # fmt: skip
